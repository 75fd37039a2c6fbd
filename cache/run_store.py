"""The run store: every measurement of this machine, on disk, safe to share between processes and to open when foreign.

Values are JSON under content keys (cache/keys.py) in a diskcache folder that never unpickles (cache/disk.py). A record
is merged into what is stored, never put over it: two processes that score different items of one run both keep theirs.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from diskcache import Cache, Timeout

from cache.disk import JSONBytesDisk
from cache.keys import ITEMS, RUN, SCHEMA, items_key, run_key
from cache.parquet import load_recorded, write_runs
from core.errors import StoreError

if TYPE_CHECKING:
    from core.runs.records import ItemSet, RunRecord

__all__ = ["RunStore", "load_recorded"]

SCHEMA_VERSION = 1
BUSY_S = 60.0  # how long to wait for another process's write


class RunStore:
    """Run records and item sets in one folder.

    Raises:
        StoreError: from every method, in one line, if the folder cannot be read or written or holds foreign rows.
    """

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with self._explained():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            with suppress(PermissionError):  # a mounted folder of another owner; the disk class trusts no row anyway
                os.chmod(self.path, 0o700)
            # A rollback journal and no memory map work on network and container mounts too, and writes are rare.
            self._cache: Any = Cache(
                str(self.path.absolute()),
                timeout=BUSY_S,
                disk=JSONBytesDisk,
                eviction_policy="none",
                statistics=0,
                sqlite_journal_mode="delete",
                sqlite_mmap_size=0,
            )
            self._cache.add(SCHEMA, SCHEMA_VERSION)
            found = self._cache.get(SCHEMA)
        if found != SCHEMA_VERSION:
            self.close()
            raise StoreError(
                f"the run store {self.path} has schema {found}, this version of Strata writes {SCHEMA_VERSION}: "
                "export the runs with the version that wrote them, then import them here"
            )

    # -------------------------------------------------------------------------------------------- records

    def put(self, record: "RunRecord") -> None:
        """Keep a record; items that only the stored one has scored stay scored."""
        self.put_many([record])

    def put_many(self, records: Iterable["RunRecord"]) -> None:
        """Keep several records in one transaction: all of them or none."""
        with self._explained(), self._cache.transact():
            for record in records:
                stored = self.get(record.run_id)
                self._cache.set(run_key(record.run_id), (_merge(stored, record) if stored else record).to_dict())

    def get(self, run_id: str) -> "RunRecord | None":
        value = self._get(run_key(run_id))
        return None if value is None else self._record(value)

    def delete(self, run_id: str) -> None:
        with self._explained():
            self._cache.delete(run_key(run_id))

    def records(
        self, model_id: str | None = None, benchmark: str | None = None, criterion: str | None = None
    ) -> list["RunRecord"]:
        """Records that match every filter given, by model, benchmark, criterion, budget and seed."""
        found = []
        for value in self._values(RUN):
            record = self._record(value)
            if (
                model_id in (None, record.model.model_id)
                and benchmark in (None, record.benchmark)
                and criterion in (None, record.plan.criterion)
            ):
                found.append(record)
        return sorted(found, key=_order)

    # -------------------------------------------------------------------------------------------- items

    def put_items(self, items: "ItemSet") -> None:
        with self._explained():
            self._cache.set(items_key(items.data_hash), items.to_dict())

    def items(self, data_hash: str) -> "ItemSet | None":
        value = self._get(items_key(data_hash))
        return None if value is None else self._items(value)

    def item_sets(self) -> list["ItemSet"]:
        return sorted((self._items(v) for v in self._values(ITEMS)), key=lambda s: (s.benchmark, s.split, s.data_hash))

    # -------------------------------------------------------------------------------------------- files

    def export_parquet(self, path: Path | str, records: Iterable["RunRecord"] | None = None) -> None:
        """Write records (all, unless given) and their item sets to one Parquet file."""
        chosen = self.records() if records is None else list(records)
        write_runs(Path(path), chosen, {s.data_hash: s for s in self.item_sets()})

    def import_parquet(self, path: Path | str) -> int:
        """Merge the records and item sets of a Parquet file into the store; returns the number of records read."""
        records, sets = load_recorded(Path(path))
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

    def _values(self, prefix: str) -> Iterator[Any]:
        with self._explained():
            keys = [k for k in self._cache.iterkeys() if k.startswith(prefix)]
        for key in keys:
            value = self._get(key)
            if value is not None:  # another process may just have deleted it
                yield value

    def _record(self, value: Any) -> "RunRecord":
        from core.runs.records import RunRecord

        return RunRecord.from_dict(value)

    def _items(self, value: Any) -> "ItemSet":
        from core.runs.records import ItemSet

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


def _merge(stored: "RunRecord", new: "RunRecord") -> "RunRecord":
    """The new record, with the stored outcomes of items that it has not scored."""
    if stored.item_ids != new.item_ids:
        raise StoreError(f"two records of run {new.run_id} name different items: one of them is damaged")
    outcomes = {
        i: (c, nll)
        for i, c, nll, fresh in zip(stored.item_ids, stored.correct, stored.gold_nll, new.correct, strict=True)
        if fresh is None and c is not None
    }
    return new.with_outcomes(outcomes) if outcomes else new  # type: ignore[arg-type]  # an import may lack the NLL


def _order(record: "RunRecord") -> tuple[str, str, str, int, int, str]:
    plan = record.plan
    seed = -1 if plan.seed is None else plan.seed
    return record.model.model_id, record.benchmark, plan.criterion, plan.n_drop, seed, record.run_id
