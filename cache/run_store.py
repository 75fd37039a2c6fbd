"""The run store: every measurement of this machine, on disk, safe to share between processes and to open when foreign.

Values are JSON under content keys (cache/keys.py) in a diskcache folder that never unpickles (cache/disk.py). A record
is merged into what is stored, never put over it: two processes that score different items of one run both keep theirs.
What many records have in common is kept once, and a listing reads the values it returns and no others.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from diskcache import Cache, Timeout

from cache.disk import JSONBytesDisk
from cache.keys import ITEMS, REFERENCE, RUN, RUN_1, SCHEMA, answers_key, items_key, part_key, run_key, run_prefix
from cache.parquet import load_recorded, write_runs
from core.errors import StoreError

if TYPE_CHECKING:
    from core.records.items import ItemSet
    from core.records.references import ReferenceScore
    from core.records.runs import RunRecord

__all__ = ["RunStore", "load_recorded", "store_state"]

SCHEMA_VERSION = 2
BUSY_S = 60.0  # how long to wait for another process's write
IN_COMMON = ("model", "item_ids")  # the fields of a record that are kept once for all that share them
APART = "answers"  # the field that has a row of its own, since texts are long and listings do without them
BATCH = 1000  # records that a migration takes over in one transaction
# diskcache's own iteration over keys takes seconds where there are 100,000. Rows that Strata never writes are asked for
# as well, so that the disk class refuses them.
KEYS = """
    SELECT key, raw FROM Cache
    WHERE key >= :first AND key < :last AND (:end = '' OR substr(key, -length(:end)) = :end)
       OR raw = 0 OR typeof(key) <> 'text'
    ORDER BY key
"""
LAST = "\U0010ffff"


class RunStore:
    """Run records and item sets in one folder.

    Args:
        busy_s: how long to wait for another process's write.
    Raises:
        StoreError: from every method, in one line, if the folder cannot be read or written or holds foreign rows.
    """

    def __init__(self, path: Path | str, busy_s: float = BUSY_S) -> None:
        self.path = Path(path)
        with self._explained():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(PermissionError):  # a mounted folder of another owner; the disk class trusts no row anyway
                os.chmod(self.path, 0o700)
            # A rollback journal and no memory map work on network and container mounts too, and writes are rare.
            self._cache: Any = Cache(
                str(self.path.absolute()),
                timeout=busy_s,
                disk=JSONBytesDisk,
                # Everything lies in the database itself: diskcache removes the value file of an overwritten row before
                # the transaction around it is committed, so that a kill in between would lose the row.
                disk_min_file_size=2**30,
                eviction_policy="none",
                statistics=0,
                sqlite_journal_mode="delete",
                sqlite_mmap_size=0,
            )
            self._cache.add(SCHEMA, SCHEMA_VERSION)
            found = self._cache.get(SCHEMA)
            self._part = lru_cache(maxsize=256)(self._read_part)
        if found == 1:
            self._migrate()
        elif found != SCHEMA_VERSION:
            self.close()
            raise StoreError(
                f"the run store {self.path} has schema {found}, this version of Strata writes {SCHEMA_VERSION}: update "
                "Strata, or export the runs with the version that wrote them and import them here"
            )

    def __repr__(self) -> str:
        return f"RunStore({str(self.path)!r})"

    # -------------------------------------------------------------------------------------------- records

    def put(self, record: "RunRecord") -> None:
        """Keep a record; items that only the stored one has scored stay scored."""
        self.put_many([record])

    def put_many(self, records: Iterable["RunRecord"]) -> None:
        """Keep several records in one transaction: all of them or none."""
        with self._explained(), self._cache.transact():
            parts: dict[Any, str] = {}
            for record in records:
                key = run_key(record)
                stored = self._record(key, answers=True)
                value = (_merge(stored, record) if stored else record).to_dict()
                if answers := value.pop(APART, None):
                    self._cache.set(answers_key(key), answers)
                for name in IN_COMMON:
                    part = getattr(record, name)
                    if part not in parts:
                        parts[part] = part_key(value[name])
                        self._cache.add(parts[part], value[name])
                    value[name] = parts[part]
                self._cache.set(key, value)

    def get(self, run_id: str) -> "RunRecord | None":
        """One record, with its answers."""
        return next((self._record(key, answers=True) for key in self._keys(RUN, f"\t{run_id}")), None)

    def delete(self, run_id: str) -> None:
        for key in self._keys(RUN, f"\t{run_id}"):
            with self._explained(), self._cache.transact():
                self._cache.delete(key)
                self._cache.delete(answers_key(key))

    def records(
        self,
        model_id: str | None = None,
        benchmark: str | None = None,
        criterion: str | None = None,
        *,
        answers: bool = False,
    ) -> list["RunRecord"]:
        """Records that match every filter given, by model, benchmark, criterion, budget and seed.

        Args:
            answers: read the answers as well.
        """
        found = (self._record(key, answers=answers) for key in self._keys(run_prefix(model_id, benchmark)))
        return sorted(
            (
                r
                for r in found
                if r is not None  # another process may just have deleted it
                and model_id in (None, r.model.model_id)
                and benchmark in (None, r.benchmark)
                and criterion in (None, r.plan.criterion)
            ),
            key=_order,
        )

    # -------------------------------------------------------------------------------------------- items

    def put_items(self, items: "ItemSet") -> None:
        with self._explained():
            self._cache.set(items_key(items.data_hash), items.to_dict())

    def items(self, data_hash: str) -> "ItemSet | None":
        value = self._get(items_key(data_hash))
        return None if value is None else self._items(value)

    def item_sets(self) -> list["ItemSet"]:
        values = (self._get(key) for key in self._keys(ITEMS))
        sets = (self._items(v) for v in values if v is not None)
        return sorted(sets, key=lambda s: (s.benchmark, s.split, s.data_hash))

    # -------------------------------------------------------------------------------------------- references

    def put_references(self, references: Iterable["ReferenceScore"]) -> None:
        """Keep figures that have no outcomes; one that was corrected replaces the earlier one."""
        with self._explained(), self._cache.transact():
            for reference in references:
                self._cache.set(REFERENCE + reference.key, reference.to_dict())

    def references(self) -> list["ReferenceScore"]:
        from core.records.references import ReferenceScore

        values = (self._get(key) for key in self._keys(REFERENCE))
        found = [ReferenceScore.from_dict(v) for v in values if v is not None]
        return sorted(found, key=lambda r: (r.model_id, r.benchmark, r.criterion, r.n_drop or 0, r.key))

    # -------------------------------------------------------------------------------------------- files

    def export_parquet(self, path: Path | str, records: Iterable["RunRecord"] | None = None) -> None:
        """Write records (all, unless given) and their item sets to one Parquet file."""
        chosen = self.records(answers=True) if records is None else list(records)
        write_runs(Path(path), chosen, {s.data_hash: s for s in self.item_sets()})

    def import_parquet(self, path: Path | str) -> int:
        """Merge the records and item sets of a Parquet file into the store; returns the number of records read."""
        records, sets = load_recorded(Path(path), foreign=True)
        for items in sets.values():
            self.put_items(items)
        self.put_many(records)
        return len(records)

    # -------------------------------------------------------------------------------------------- folder

    def disk_usage(self) -> int:
        """Bytes of the database and the value files."""
        with self._explained():
            return int(self._cache.volume())

    def close(self) -> None:
        self._cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    # -------------------------------------------------------------------------------------------- inside

    def _get(self, key: str) -> Any:
        with self._explained():
            return self._cache.get(key)

    def _keys(self, prefix: str, end: str = "") -> list[str]:
        with self._explained():
            asked = {"first": prefix, "last": prefix + LAST, "end": end}
            rows = self._cache._sql(KEYS, asked).fetchall()
        return [self._cache.disk.get(key, raw) for key, raw in rows]

    def _record(self, key: str, answers: bool = False) -> "RunRecord | None":
        from core.records.runs import RunRecord

        value = self._get(key)
        if value is None:
            return None
        try:
            value |= {name: self._part(value[name]) for name in IN_COMMON}
            if answers:
                value[APART] = self._get(answers_key(key))
        except (KeyError, TypeError) as error:
            raise StoreError(f"the run store {self.path} holds a damaged record: {error!r}") from error
        return RunRecord.from_dict(value)

    def _read_part(self, key: str) -> Any:
        part = self._get(key)
        if part is None:
            raise StoreError(f"the run store {self.path} is damaged: {key} is missing; import your runs into a new one")
        return tuple(part) if isinstance(part, list) else part  # a record takes a tuple over as it is

    def _migrate(self) -> None:
        """Take over the records of schema 1, which lay under their hash alone and repeated what they have in common.

        A kill on the way loses nothing: the new rows are committed before the old ones go and the version is written
        last, so the next opening goes on from there. Two processes may do it at once: records merge.
        """
        from core.records.runs import RunRecord

        keys = self._keys(RUN_1)
        for start in range(0, len(keys), BATCH):
            batch = keys[start : start + BATCH]
            self.put_many(RunRecord.from_dict(value) for key in batch if (value := self._get(key)) is not None)
            with self._explained(), self._cache.transact():
                for key in batch:
                    self._cache.delete(key)
        with self._explained():
            self._cache.set(SCHEMA, SCHEMA_VERSION)

    def _items(self, value: Any) -> "ItemSet":
        from core.records.items import ItemSet

        try:
            return ItemSet.from_dict(value)
        except (KeyError, TypeError) as error:
            raise StoreError(f"the run store {self.path} holds a damaged item set: {error!r}") from error

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the file system and SQLite say into one line."""
        try:
            yield
        except Timeout:
            raise StoreError(f"the run store {self.path} is read only, or another process keeps it busy") from None
        except (sqlite3.Error, OSError) as error:
            raise StoreError(f"cannot use the run store {self.path}: {error}") from error


def store_state(path: Path, wait_s: float = 0.02) -> tuple[Any, ...]:
    """Changes whenever a record in the store does, and only then: opening a store already changes its files' times.

    Empty where it cannot be read: locked for so long, damaged, or not there.
    """
    try:
        address = f"{(path / 'cache.db').absolute().as_uri()}?mode=ro"
        with closing(sqlite3.connect(address, uri=True, timeout=wait_s)) as database:
            return tuple(database.execute("SELECT COUNT(*), MAX(rowid), MAX(store_time) FROM Cache").fetchone())
    except sqlite3.Error:  # not there yet, or not a store: opening it says so
        return ()


def _merge(stored: "RunRecord", new: "RunRecord") -> "RunRecord":
    """The new record, with the stored outcomes of items that it has not scored."""
    if stored.item_ids != new.item_ids:
        raise StoreError(f"two records of run {new.run_id} name different items: one of them is damaged")
    fresh = new.outcomes if new.answers or not stored.answers else {}  # of a listing, which has no answers, nothing
    return new.with_outcomes({i: o for i, o in stored.outcomes.items() if i not in fresh})


def _order(record: "RunRecord") -> tuple[str, str, str, int, int, str]:
    plan = record.plan
    seed = -1 if plan.seed is None else plan.seed
    return record.model.model_id, record.benchmark, plan.criterion, plan.n_drop, seed, record.run_id
