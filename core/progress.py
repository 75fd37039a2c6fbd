"""How long work says how far it is: one signature for calibrations, sweeps, searches and benches."""

from typing import Protocol


class Progress(Protocol):
    """Called after each step. An error that it raises, as Ctrl-C does, ends the work; what was saved stays."""

    def __call__(self, done: int, total: int, label: str = ..., /) -> None:
        """
        Args:
            done, total: samples, outcomes (one plan on one item) or whatever else the work counts.
            label: what is being done, where the work has several parts.
        """
