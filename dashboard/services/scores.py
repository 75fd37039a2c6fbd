"""Scores: the runs on this machine as the one view that says which of them count (`core.library.run_view`).

The store is looked at once a rerun: the router asks for `fresh` sources, and everything else of that rerun shares them.
"""

import gc
import threading
import time
from typing import Any

from streamlit.runtime.scriptrunner import get_script_run_ctx

from core.library.run_view import RunView
from core.library.sources import Sources, load_sources
from core.records.plan import PruningPlan

BUSY_S = 2.0  # that a page waits for a store that another process writes
RETRY_S = 15.0  # until a store that cannot be read is tried again
_rerun = threading.local()  # each script runs on a thread of its own
_frozen: dict[str, Any] = {}


def fresh() -> Sources:
    """What is stored now; for the rest of this rerun it is what pages see."""
    found = load_sources(BUSY_S, attempt=int(time.monotonic() // RETRY_S))
    _rerun.sources = found
    # at the first two reruns of each state of the runs, on whichever thread: what was read, and what pages made of it
    if _frozen.get("sources") is not found or _frozen["times"] < 2:
        _frozen.update(times=1 + (_frozen["times"] if _frozen.get("sources") is found else 0), sources=found)
        freeze_memory()
    return found


def sources() -> Sources:
    """What this rerun sees; outside of one, what is stored now."""
    held: Sources | None = getattr(_rerun, "sources", None) if get_script_run_ctx(suppress_warning=True) else None
    return held or fresh()


def view(model_id: str, data: str | None = None) -> RunView:
    """The runs of a model that count.

    Args:
        data: hash of an item set, to be used for its domain instead of all benchmarks.
    """
    return RunView.of(model_id, sources=sources(), data=data)


def recorded_outcome(model_id: str, plan: PruningPlan | None, sample_id: str) -> bool | None:
    """Was a sample answered right in a measured run of this plan (None: the full model)? None when not measured."""
    for record in view(model_id).setting:
        same = record.plan.plan_id == plan.plan_id if plan else record.plan.n_drop == 0
        if same and sample_id in record.item_ids:
            return record.correct[record.item_ids.index(sample_id)]
    return None


def freeze_memory() -> None:
    """gc.freeze() what lives forever; a full collection stalled all threads for 130 ms.

    Streamlit collects after every run of a page, in whatever session: with eight sessions that was two fifths of the
    time.
    """
    gc.unfreeze()  # what was frozen before and has gone since, sessions of closed tabs for one
    gc.collect()
    gc.freeze()
