"""Strata's library: the names that others import, each loaded when it is first used (docs/api.md describes them).

Importing this is light: torch comes with `load_vlm` and `pruned_view` only, tables with `detect_regimes` and `RunView`.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from core.analysis.regimes import detect_regimes
    from core.library.finding import open_runs
    from core.library.run_view import RunView
    from core.measure.calibration import calibrate
    from core.measure.whole_sweep import sweep
    from core.pruning.criteria import build_plan, list_criteria
    from core.vlm.loading import load_vlm
    from core.vlm.view import pruned_view

__version__ = "0.1.0"
__all__ = [
    "RunView",
    "build_plan",
    "calibrate",
    "detect_regimes",
    "list_criteria",
    "load_vlm",
    "open_runs",
    "pruned_view",
    "sweep",
]
PLACES = {
    "RunView": "core.library.run_view",
    "build_plan": "core.pruning.criteria",
    "calibrate": "core.measure.calibration",
    "detect_regimes": "core.analysis.regimes",
    "list_criteria": "core.pruning.criteria",
    "load_vlm": "core.vlm.loading",
    "open_runs": "core.library.finding",
    "pruned_view": "core.vlm.view",
    "sweep": "core.measure.whole_sweep",
}


def __getattr__(name: str) -> Any:
    """A public name, from the file that holds it; the next use finds it here."""
    if name not in PLACES:
        raise AttributeError(f"module 'core' has no attribute '{name}'")
    found = globals()[name] = getattr(import_module(PLACES[name]), name)
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
