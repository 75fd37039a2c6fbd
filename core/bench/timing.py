"""How benches are run: ours and a reference in turn, in one process, after a check that they agree.

A bench is a function from a loaded model and a number of rounds to rows of the report, most of them made by `run_case`.
"""

import math
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any

from core.errors import StrataError, suggest
from core.progress import Progress

if TYPE_CHECKING:
    from core.vlm import VLM

ROUNDS = 3
ReportRow = dict[str, Any]
Bench = Callable[["VLM", int], Iterator[ReportRow]]
BENCHES = ("similarity", "view", "decode", "forest", "growth", "ui")  # each a module of this package with `bench`


@dataclass(frozen=True)
class Case:
    """Two ways to the same result. `agree` compares what they returned; `more` adds columns to the row."""

    name: str
    ours: Callable[[], Any]
    reference: Callable[[], Any]
    agree: Callable[[Any, Any], bool]
    reference_is: str
    more: Callable[[Any, Any], ReportRow] = lambda _ours, _reference: {}


def run_bench(
    vlm: "VLM", names: Sequence[str], rounds: int = ROUNDS, progress: Progress | None = None
) -> dict[str, Any]:
    """Run benches by name ("all" for every one) on a loaded model.

    Args:
        progress: called before each bench with (benches done, benches in all, what runs).
    Returns:
        {"machine": {...}, "cases": [{"name", "ours_s", "reference_s", "ratio", "agree", ...}]}; ratio = reference/ours;
        times are medians in seconds.
    """
    import torch

    from core.vlm.placement import device_name

    for name in names:
        if name != "all" and name not in BENCHES:
            raise StrataError(f"unknown bench '{name}': {suggest(name, [*BENCHES, 'all'])}")
    chosen = BENCHES if "all" in names else names
    cases: list[ReportRow] = []
    for done, name in enumerate(chosen):
        if progress is not None:
            progress(done, len(chosen), f"measuring: {name}")
        bench: Bench = import_module(f"core.bench.{name}").bench
        with torch.inference_mode():
            cases += bench(vlm, rounds)
    machine = {
        "device": device_name(str(vlm.device)),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
        "torch": torch.__version__,
        "model": vlm.spec.model_id,
        "dtype": vlm.spec.dtype,
    }
    return {"machine": machine, "cases": cases}


def run_case(case: Case, rounds: int = ROUNDS) -> ReportRow:
    """Check agreement on a first, untimed run of both; then time them in turn, so that a noisy machine hits both."""
    ours, reference = case.ours(), case.reference()
    times: dict[str, list[float]] = {"ours": [], "reference": []}
    cpu_times: dict[str, list[float]] = {"ours": [], "reference": []}
    for _ in range(rounds):
        for side, call in (("ours", case.ours), ("reference", case.reference)):
            started, cpu_started = time.perf_counter(), time.process_time()
            call()
            times[side].append(time.perf_counter() - started)
            cpu_times[side].append(time.process_time() - cpu_started)
    ours_s, reference_s = (statistics.median(times[side]) for side in ("ours", "reference"))
    ours_cpu_s, reference_cpu_s = (statistics.median(cpu_times[side]) for side in ("ours", "reference"))
    more = case.more(ours, reference)
    if "bound" in more:
        more["of_bound"] = reference_s / ours_s / more["bound"]
    return {
        "name": case.name,
        "ours_s": ours_s,
        "reference_s": reference_s,
        "ratio": reference_s / ours_s,
        # of processor time, which other work on the machine affects less; means little on a GPU
        "cpu_ratio": reference_cpu_s / ours_cpu_s if ours_cpu_s else None,
        "agree": case.agree(ours, reference),
        "reference": case.reference_is,
        "rounds": rounds,
        "ours_range_s": [min(times["ours"]), max(times["ours"])],
        "reference_range_s": [min(times["reference"]), max(times["reference"])],
        **more,
    }


def fitted_exponent(sizes: Sequence[float], values: Sequence[float]) -> float:
    """The slope of log(value) over log(size): 1 where twice the size costs twice as much."""
    x, y = [math.log(s) for s in sizes], [math.log(max(v, 1e-9)) for v in values]
    return statistics.linear_regression(x, y).slope
