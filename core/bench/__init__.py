"""Speed that anyone can measure again: `python -m core bench [NAME]`, one file per bench."""

from core.bench.timing import BENCHES, run_bench

__all__ = ["BENCHES", "run_bench"]
