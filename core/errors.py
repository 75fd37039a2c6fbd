"""The errors a user can meet. Each message is one line: what is wrong, and what to do next.

StrataError
├── ModelError            unknown, unsupported or unloadable model
├── PlanError             a plan that cannot exist: bad indices, budget, protected layers, unknown criterion
├── SampleError           an image, a question or generation settings that cannot be used
├── CalibrationError      an atlas that is missing, damaged, or does not have what was asked of it
├── RecipeError           an unknown recipe, GPU or shape of a model
├── StoreError            a run store or an import file that cannot be read or written
├── ExecutorError         a cluster that is not there, or whose workers are lost
├── MemoryLimitError      work that does not fit into memory, even one sample at a time
├── LimitError            more than this instance gives one visitor, or now: a bound of core/limits.py
│   └── BusyError         the queue is full: the same request is answered later
└── ExportError           a checkpoint that cannot be written, or that does not answer as the plan's view does

The pages and the command line turn these, and only these, into one line; everything else stays loud.
"""

import difflib
from collections.abc import Iterable


class StrataError(Exception):
    """Base of every error that is shown to the user as it is."""


class ModelError(StrataError):
    pass


class PlanError(StrataError):
    pass


class SampleError(StrataError):
    pass


class CalibrationError(StrataError):
    pass


class RecipeError(StrataError):
    pass


class StoreError(StrataError):
    pass


class ExecutorError(StrataError):
    pass


class MemoryLimitError(StrataError):
    pass


class LimitError(StrataError):
    pass


class BusyError(LimitError):
    pass


class ExportError(StrataError):
    pass


def first_line(error: BaseException) -> str:
    """What an error says in its first line; its kind, where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def suggest(name: str, known: Iterable[str]) -> str:
    """The end of an "unknown name" message: the closest known name, or all of them."""
    known = list(known)
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean '{close[0]}'?" if close else f"choose one of {', '.join(known)}"
