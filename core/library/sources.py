"""Every run at hand, read once for each state of the files: those that ship with the project, then the user's own."""

import threading
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from core import settings
from core.errors import StoreError
from core.library.finding import recorded_runs_path, user_runs_path
from core.library.published import published_scores
from core.records.items import ItemSet
from core.records.references import ReferenceScore
from core.records.runs import RunRecord

_reading = threading.Lock()  # two sessions that want the same runs read them once


@dataclass(frozen=True, eq=False)  # compared by identity, so that what is computed from it can be kept by it
class Sources:
    """What is stored on this machine, of every model.

    Attributes:
        items: item sets by data hash.
        figures: published and imported scores without outcomes item by item.
        problem: why the user's own store cannot be read, in one line; then only what ships is here.
    """

    recorded: tuple[RunRecord, ...] = ()
    own: tuple[RunRecord, ...] = ()
    items: Mapping[str, ItemSet] = field(default_factory=dict)
    figures: tuple[ReferenceScore, ...] = ()
    problem: str = ""
    views: dict[Any, Any] = field(default_factory=dict, repr=False)  # what `RunView.of` keeps of them

    @cached_property
    def records(self) -> list[RunRecord]:
        """Runs with outcomes; one that was repeated here replaces the recorded run once it has scored as many items."""
        return [r for r in with_own(self.recorded, self.own) if r.n_scored]


def with_own(recorded: Iterable[RunRecord], own: Iterable[RunRecord]) -> list[RunRecord]:
    records = {r.run_id: r for r in recorded}
    for r in own:
        if r.run_id not in records or r.n_scored >= records[r.run_id].n_scored:
            records[r.run_id] = r
    return list(records.values())


def load_sources(busy_s: float = 60.0, attempt: int = 0) -> Sources:
    """Recorded runs and the user's own, read again only when a file or the store has changed.

    Args:
        busy_s: how long to wait for a store that another process writes.
        attempt: another number reads a store again that could not be read.
    """
    from cache.run_store import store_state

    shipped = tuple((str(p), p.stat().st_mtime_ns) for p in sorted(settings.RECORDED_DIR.glob("*.runs.parquet")))
    own = user_runs_path()
    state = store_state(own) if own.exists() else None
    with _reading:
        return _load(shipped, str(own), state, busy_s, 0 if state else attempt)


@lru_cache(maxsize=1)
def _load(
    shipped: tuple[tuple[str, int], ...], own: str, state: tuple[Any, ...] | None, busy_s: float, attempt: int
) -> Sources:
    from cache import RunStore, load_recorded
    from cache.run_store import store_state

    recorded: list[RunRecord] = []
    items: dict[str, ItemSet] = {}
    for path, _ in shipped:
        records, sets = load_recorded(Path(path))
        recorded += records
        items |= sets
    found = Sources(tuple(recorded), items=items, figures=published_scores())
    if state is None:  # there is no store yet
        return found
    try:
        if not state and not store_state(Path(own), min(busy_s, 2.0)):  # opening it would wait for a minute
            raise StoreError(f"the run store {settings.shown(Path(own))} is locked by another process, or damaged")
        with RunStore(Path(own), busy_s=busy_s) as runs:
            held = {**items, **{s.data_hash: s for s in runs.item_sets()}}
            figures = (*found.figures, *runs.references())
            return replace(found, own=tuple(runs.records()), items=held, figures=figures, views={})
    except StoreError as error:
        return replace(found, problem=str(error), views={})


def read_sources() -> Sources:
    """`load_sources` for commands: an own store that cannot be read ends them.

    Raises:
        StoreError: why it cannot be read.
    """
    sources = load_sources()
    if sources.problem:
        raise StoreError(sources.problem)
    return sources


def with_answers(record: RunRecord) -> RunRecord:
    """A listed record with what was written, from the user's store or the recorded file that it is in."""
    from cache import RunStore, load_recorded

    if record.answers or (record.origin == "measured" and not record.max_new_tokens):  # teacher-forced
        return record
    if user_runs_path().exists():
        with RunStore(user_runs_path()) as runs:
            if held := runs.get(record.run_id):
                return held
    path = recorded_runs_path(record.model.model_id)
    shipped = load_recorded(path)[0] if path.exists() else []
    return next((r for r in shipped if r.run_id == record.run_id), record)
