"""The run store: nothing is lost between processes or files, and nothing in a foreign folder is trusted."""

import multiprocessing
import os
import pickle
import signal
import sqlite3
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from diskcache import Cache

from cache import RunStore, load_recorded, parquet
from cache.disk import JSONBytesDisk
from cache.keys import run_key
from cache.run_store import store_state
from core.errors import StoreError
from core.records.answers import ItemAnswer
from core.records.items import BenchmarkItem, ItemSet
from core.records.plan import ModelSpec, PruningPlan
from core.records.runs import RunRecord

SPEC = ModelSpec("tiny", "abc", "llava", 8, (), 800, (100,) * 8, "float32", "cpu")
ITEMS = ItemSet(
    "tiny-math",
    "math",
    "test",
    "hash0",
    tuple(BenchmarkItem(f"i{k}", "count", f"How many? {k}", str(k), f"drawn:test/0/{k}/count") for k in range(4)),
)


def make_record(
    criterion: str = "mixed", dropped: tuple[int, ...] = (2, 3), scored: str = "10?1", **changes: Any
) -> RunRecord:
    correct = tuple({"1": True, "0": False, "?": None}[c] for c in scored)
    values: dict[str, Any] = {
        "model": SPEC,
        "plan": PruningPlan("tiny", 8, dropped, criterion, 0 if criterion == "random" else None),
        "benchmark": "tiny-math",
        "domain": "math",
        "data_hash": "hash0",
        "metric": "exact_match",
        "item_ids": tuple(i.item_id for i in ITEMS.items),
        "correct": correct,
        "gold_nll": tuple(None if c is None else 0.1234 for c in correct),
        "similarity_dropped": 1.75,
        "device": "cpu",
        "created": "2026-01-02T03:04:05+00:00",
        "version": "0.1.0",
    }
    return RunRecord(**{**values, **changes})


@pytest.fixture
def store(tmp_path: Path) -> Any:
    with RunStore(tmp_path / "runs") as opened:
        yield opened


def free_record(scored: str = "10?1", **changes: Any) -> RunRecord:
    said = tuple(
        None if c == "?" else ItemAnswer(f"it is {k}", "annotators", "" if c == "1" else "wrong", (0.3, 0.6)[c == "1"])
        for k, c in enumerate(scored)
    )
    values = [a.value for a in said if a]
    free = {"metric": "vqa_accuracy", "max_new_tokens": 16, "answers": said, "graded": sum(values) / len(values)}
    return make_record(scored=scored, **{**free, **changes})


# ------------------------------------------------------------------------------------------------ keeping


def test_answers_are_kept_apart_and_merged_item_by_item(store: RunStore, tmp_path: Path) -> None:
    store.put(free_record("10?1"))
    store.put(free_record("??00"))  # another process reached the third item, and judged the fourth again
    whole = free_record("1000")
    assert store.get(whole.run_id) == whole
    [listed] = store.records()
    assert listed.answers == () and listed.correct == whole.correct, "a listing does without the texts"
    assert (listed.score, listed.graded_score) == (0.25, pytest.approx(0.375)), "but not without the metric's mean"
    store.put(listed)  # such as an import of a listing: what was written stays
    assert store.records(answers=True) == [whole]
    store.export_parquet(tmp_path / "runs.parquet")
    assert load_recorded(tmp_path / "runs.parquet")[0] == [whole]
    store.delete(whole.run_id)
    assert len(store._keys("answers\t")) == 0


def test_the_length_of_answers_is_part_of_a_runs_name() -> None:
    assert free_record(max_new_tokens=32).run_id != free_record().run_id
    assert make_record().run_id == "db6a402535a9d3bd", "teacher-forced runs keep the names that they had"


def test_records_and_items_round_trip(store: RunStore, tmp_path: Path) -> None:
    record = make_record()
    store.put(record)
    store.put_items(ITEMS)
    store.close()
    with RunStore(tmp_path / "runs") as again:
        assert again.get(record.run_id) == record
        assert again.items("hash0") == ITEMS
        assert again.item_sets() == [ITEMS]
        assert again.get("nothing") is None
        assert again.items("nothing") is None
        again.delete(record.run_id)
        again.delete(record.run_id)
        assert again.records() == []


LONG = {"item_ids": tuple(f"item-{k:030d}" for k in range(9000)), "gold_nll": (0.5,) * 9000}  # diskcache: a value file


def test_large_records_lie_in_the_database_itself(store: RunStore, tmp_path: Path) -> None:
    record = make_record(correct=(True,) * 9000, **LONG)
    store.put(record)
    assert [p.name for p in (tmp_path / "runs").iterdir()] == ["cache.db"]
    assert store.get(record.run_id) == record
    assert store.disk_usage() > 300_000


def test_a_write_that_is_taken_back_leaves_a_large_record_as_it_was(store: RunStore) -> None:
    """diskcache removed the old value file before the transaction was committed: a kill or an error lost the record."""
    first = make_record(correct=(True,) * 9000, **LONG)
    store.put(first)
    with pytest.raises(StoreError):
        store.put_many([first, make_record(plan=first.plan)])
    assert store.records() == [first]


def test_records_are_filtered_and_ordered_whatever_the_order_of_writing(tmp_path: Path) -> None:
    records = [
        make_record("uniform", (1,)),
        make_record("mixed", (1, 2)),
        make_record("mixed", (3,)),
        make_record("mixed", (3,), benchmark="tiny-general"),
        make_record("mixed", (3,), model=replace(SPEC, model_id="other")),
    ]
    listed = []
    for name, order in (("a", records), ("b", records[::-1])):
        with RunStore(tmp_path / name) as store:
            store.put_many(order)
            listed.append(store.records())
            assert [r.plan.n_drop for r in store.records("tiny", "tiny-math", "mixed")] == [1, 2]
            assert len(store.records(model_id="tiny")) == 4
            assert len(store.records(benchmark="tiny-general")) == 1
    assert listed[0] == listed[1]


def test_a_record_is_merged_never_put_over_what_is_stored(store: RunStore) -> None:
    store.put(make_record(scored="1??0"))
    store.put(make_record(scored="?1?1"))
    assert store.records()[0].correct == (True, True, None, True)
    with pytest.raises(StoreError, match="different items"):
        store.put(make_record(item_ids=("x0", "x1", "x2", "x3")))


def test_a_failed_write_of_several_keeps_none(store: RunStore) -> None:
    store.put(make_record())
    damaged = make_record(item_ids=("x0", "x1", "x2", "x3"))
    with pytest.raises(StoreError):
        store.put_many([make_record("uniform", (5,)), damaged])
    assert [r.plan.criterion for r in store.records()] == ["mixed"]


def _write(path: str, start: int, scored: str) -> None:
    with RunStore(path) as store:
        for k in range(start, start + 20):
            store.put(make_record("random", (k % 7, 7), plan=PruningPlan("tiny", 8, (k % 7, 7), "random", k)))
            store.put(make_record(scored=scored))


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = str(tmp_path / "runs")
    workers = [context.Process(target=_write, args=(path, *a)) for a in ((0, "11??"), (20, "??00"))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [w.exitcode for w in workers] == [0, 0]
    with RunStore(path) as store:
        assert {r.plan.seed for r in store.records(criterion="random")} == set(range(40))
        assert store.records(criterion="mixed")[0].correct == (True, True, False, False)


def test_the_folder_is_private_and_nothing_is_evicted(store: RunStore, tmp_path: Path) -> None:
    assert stat.S_IMODE(os.stat(tmp_path / "runs").st_mode) == 0o700
    assert store._cache.eviction_policy == "none"


# ------------------------------------------------------------------------------------------------ schemas and size


@pytest.fixture
def folder_1(tmp_path: Path) -> Path:
    """A store as version 0.1 wrote it (schema 1): records under their hash alone, large ones in value files."""
    long = make_record(correct=(True,) * 9000, data_hash="long", **LONG)
    with Cache(str(tmp_path / "old"), disk=JSONBytesDisk, eviction_policy="none") as cache:
        cache.set("meta:schema", 1)
        cache.set("items:hash0", ITEMS.to_dict())
        for r in (make_record(), make_record("uniform", (1,), "1??0"), long):
            value = r.to_dict()
            del value["hardware"]
            cache.set(f"run:{r.run_id}", value)
    return tmp_path / "old"


def test_a_store_of_schema_1_is_taken_over(folder_1: Path) -> None:
    assert list(folder_1.rglob("*.val"))
    with RunStore(folder_1) as store:
        taken = store.records()
        long = make_record(correct=(True,) * 9000, data_hash="long", **LONG)
        expected = [make_record(), make_record("uniform", (1,), "1??0"), long]
        assert {r.run_id: r for r in taken} == {r.run_id: r for r in expected}
        assert store.item_sets() == [ITEMS]
        assert store._cache.get("meta:schema") == 2
        assert store._keys("run:") == []
    assert not list(folder_1.rglob("*.val"))
    with RunStore(folder_1) as store:
        assert store.records() == taken


@pytest.mark.parametrize("call", range(1, 6))
def test_a_takeover_that_breaks_off_is_finished_at_the_next_opening(
    folder_1: Path, monkeypatch: pytest.MonkeyPatch, call: int
) -> None:
    """Broken off before each of its writes in turn."""
    left = iter(range(call))

    def breaking(name: str) -> Callable[..., Any]:
        real = getattr(Cache, name)

        def write(cache: Cache, key: str, *args: Any, **kwargs: Any) -> Any:
            if key.startswith(("run", "part:")) and next(left, None) is None:
                raise KeyboardInterrupt
            return real(cache, key, *args, **kwargs)

        return write

    with monkeypatch.context() as patch:
        for name in ("set", "add", "delete"):
            patch.setattr(Cache, name, breaking(name))
        with pytest.raises(KeyboardInterrupt):
            RunStore(folder_1)
    with RunStore(folder_1) as store:
        assert sorted(r.n_scored for r in store.records()) == [2, 3, 9000]


@pytest.mark.parametrize("found", [99, 0, "2", None])
def test_a_store_of_an_unknown_schema_is_refused_in_one_line(store: RunStore, tmp_path: Path, found: Any) -> None:
    store.put(make_record())
    store._cache.set("meta:schema", found)
    store.close()
    with pytest.raises(StoreError, match=f"schema {found}, this version of Strata writes 2: update") as caught:
        RunStore(tmp_path / "runs")
    assert "\n" not in str(caught.value)


def test_a_listing_reads_what_it_returns_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It decoded every record of the store, whatever was asked for: 9 seconds at 100,000 records."""

    def records(model: str, benchmark: str, n: int) -> list[RunRecord]:
        spec = replace(SPEC, model_id=model)
        plans = [PruningPlan(model, 8, (k % 7,), "random", k) for k in range(n)]
        return [make_record(model=spec, plan=p, benchmark=benchmark) for p in plans]

    groups = [(m, b) for m in ("org/a", "org/a/b", "org/c", "tiny") for b in ("b", "b/x", "math")]
    with RunStore(tmp_path / "runs") as store:
        for model, benchmark in groups:
            store.put_many(records(model, benchmark, 400))
    read = 0
    fetch = JSONBytesDisk.fetch

    def counting(*args: Any) -> Any:
        nonlocal read
        read += 1
        return fetch(*args)

    monkeypatch.setattr(JSONBytesDisk, "fetch", counting)
    with RunStore(tmp_path / "runs") as store:
        opening, read = read, 0
        for model, benchmark in groups:
            assert len(store.records(model, benchmark)) == 400
        in_common = 4 + 1  # what describes a model, and the ids of the items: once for all
        assert opening == 1 and read == 400 * len(groups) + in_common
        read = 0
        assert store.get(records("org/c", "math", 1)[0].run_id) is not None
        assert read == 1


def test_an_unusable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="cannot use the run store"):
        RunStore(tmp_path / "file")
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "cache.db").write_bytes(b"no database" * 1000)
    with pytest.raises(StoreError, match="cannot use the run store"):
        RunStore(tmp_path / "damaged")


def test_importing_the_package_is_light() -> None:
    """Opening the dashboard must not wait for the table libraries; they load when runs are read."""
    code = "import sys, cache; raise SystemExit(any(m in sys.modules for m in ('pandas', 'pyarrow', 'torch', 'scipy')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# ------------------------------------------------------------------------------------------------ attacks


class Payload:
    """Unpickling it creates a file: harmless, and visible."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[str, str]]:
        return open, (str(self.marker), "w")


def tamper(folder: Path, statement: str, *values: Any) -> None:
    connection = sqlite3.connect(folder / "cache.db")
    with connection:
        assert connection.execute(statement, values).rowcount == 1
    connection.close()


@pytest.fixture
def plain(tmp_path: Path) -> Any:
    """A folder as diskcache makes it by default, with one value."""
    with Cache(str(tmp_path / "plain")) as cache:
        cache.set("key", b"value")
        yield cache


@pytest.fixture
def victim(store: RunStore) -> str:
    """The id of a record in the store; its key is KEY."""
    store.put(make_record())
    return make_record().run_id


KEY = run_key(make_record())


INLINE = "UPDATE Cache SET mode = 4, filename = NULL, value = ? WHERE key = ?"
IN_FILE = "UPDATE Cache SET mode = 4, filename = ?, value = NULL WHERE key = ?"
AS_KEY = "UPDATE Cache SET key = ?, raw = 0 WHERE key = ?"
OUTSIDE = "UPDATE Cache SET mode = 2, filename = ?, value = NULL WHERE key = ?"


def test_a_pickled_value_is_refused(store: RunStore, victim: str, plain: Cache, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    tamper(tmp_path / "plain", INLINE, pickle.dumps(Payload(marker)), "key")
    plain.get("key")
    assert marker.exists()
    marker.unlink()
    tamper(tmp_path / "runs", INLINE, pickle.dumps(Payload(marker)), KEY)
    for read in (lambda: store.get(victim), store.records):
        with pytest.raises(StoreError, match="tampered"):
            read()
    assert not marker.exists()


def test_a_pickled_value_file_is_refused(store: RunStore, victim: str, plain: Cache, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    for folder in ("plain", "runs"):
        (tmp_path / folder / "evil.val").write_bytes(pickle.dumps(Payload(marker)))
    tamper(tmp_path / "plain", IN_FILE, "evil.val", "key")
    plain.get("key")
    assert marker.exists()
    marker.unlink()
    tamper(tmp_path / "runs", IN_FILE, "evil.val", KEY)
    with pytest.raises(StoreError, match="tampered"):
        store.get(victim)
    assert not marker.exists()


def test_a_pickled_key_is_refused(store: RunStore, victim: str, plain: Cache, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    tamper(tmp_path / "plain", AS_KEY, pickle.dumps(Payload(marker)), "key")
    list(plain)
    assert marker.exists()
    marker.unlink()
    tamper(tmp_path / "runs", AS_KEY, pickle.dumps(Payload(marker)), KEY)
    for read in (store.records, store.item_sets):
        with pytest.raises(StoreError, match="tampered"):
            read()
    assert not marker.exists()


@pytest.mark.parametrize("how", ["absolute", "relative", "link"])
def test_a_file_outside_the_folder_is_neither_read_nor_removed(
    store: RunStore, victim: str, plain: Cache, tmp_path: Path, how: str
) -> None:
    secret = tmp_path / "secret.val"
    secret.write_text('{"secret": 1}')
    for folder in ("plain", "runs"):
        (tmp_path / folder / "link.val").symlink_to(secret)
    name = {"absolute": str(secret), "relative": "../secret.val", "link": "link.val"}[how]
    tamper(tmp_path / "plain", OUTSIDE, name, "key")
    assert plain.get("key") == b'{"secret": 1}'
    if how != "link":
        plain.delete("key")
        assert not secret.exists()  # plain diskcache even deletes it
        secret.write_text('{"secret": 1}')
    tamper(tmp_path / "runs", OUTSIDE, name, KEY)
    with pytest.raises(StoreError, match="outside"):
        store.get(victim)
    store.delete(victim)
    assert secret.exists()
    assert store.records() == []


@pytest.mark.parametrize("value", [b"\xff no JSON", "text", 3, b"[" * 100_000])
def test_a_value_that_is_not_json_bytes_is_refused(store: RunStore, victim: str, tmp_path: Path, value: Any) -> None:
    tamper(tmp_path / "runs", "UPDATE Cache SET value = ? WHERE key = ?", value, KEY)
    with pytest.raises(StoreError, match="tampered"):
        store.get(victim)


def test_a_damaged_record_or_item_set_is_one_line(store: RunStore) -> None:
    store._cache.set("run\ttiny\tb\tx", {"model": 1})
    store._cache.set("items:x", {"benchmark": "b"})
    for read in (lambda: store.get("x"), store.records, lambda: store.items("x"), store.item_sets):
        with pytest.raises(StoreError):
            read()


def test_the_disk_takes_text_keys_and_values_only(tmp_path: Path) -> None:
    with Cache(str(tmp_path / "c"), disk=JSONBytesDisk) as cache:
        for key in (1, b"k", ("k",), None):
            with pytest.raises(StoreError):
                cache.set(key, 1)
        with pytest.raises(StoreError), open(os.devnull, "rb") as file:
            cache.set("k", file, read=True)
        cache.set("k", {"a": [1, None]})
        assert cache.get("k") == {"a": [1, None]}


# ------------------------------------------------------------------------------------------------ Parquet


def test_parquet_round_trip_is_idempotent(store: RunStore, tmp_path: Path) -> None:
    records = [make_record(), make_record("random", (1,), "1111"), make_record("full", (), similarity_dropped=0.0)]
    records.append(make_record(data_hash="elsewhere", benchmark="imported", origin="imported", gold_nll=(None,) * 4))
    store.put_many(records)
    store.put_items(ITEMS)
    path = tmp_path / "deep" / "runs.parquet"
    store.export_parquet(path)
    with RunStore(tmp_path / "other") as other:
        assert other.import_parquet(path) == 4
        assert other.import_parquet(path) == 4
        assert other.records() == store.records()
        assert other.item_sets() == [ITEMS]
        other.export_parquet(tmp_path / "again.parquet")
        other.export_parquet(tmp_path / "one.parquet", records[:1])
    assert (tmp_path / "again.parquet").read_bytes() == path.read_bytes()
    assert load_recorded(tmp_path / "one.parquet") == (records[:1], {"hash0": ITEMS})
    assert [p.name for p in path.parent.iterdir()] == ["runs.parquet"]


def test_files_of_earlier_versions_are_read(tmp_path: Path) -> None:
    """They lack the name of the hardware, or of the attention."""
    path = tmp_path / "runs.parquet"
    record = make_record(hardware="NVIDIA H200", model=replace(SPEC, attention="sdpa"))
    with RunStore(tmp_path / "runs") as store:
        store.put(record)
        store.export_parquet(path)
    assert load_recorded(path)[0] == [record]
    table = pq.read_table(path)
    models = [{k: v for k, v in m.items() if k != "attention"} for m in table["model"].to_pylist()]
    older = pa.struct([f for f in table.schema.field("model").type if f.name != "attention"])
    table = table.set_column(0, "model", pa.array(models, older))
    pq.write_table(table, path)
    assert load_recorded(path)[0] == [replace(record, model=SPEC)]
    table = table.drop_columns("hardware").replace_schema_metadata({b"strata_runs_format": b"1"})
    pq.write_table(table, path)
    assert load_recorded(path)[0] == [make_record()]


def test_an_empty_store_exports_an_empty_file(store: RunStore, tmp_path: Path) -> None:
    store.export_parquet(tmp_path / "none.parquet")
    assert load_recorded(tmp_path / "none.parquet") == ([], {})


def test_an_import_adds_to_partial_records(store: RunStore, tmp_path: Path) -> None:
    with RunStore(tmp_path / "other") as other:
        other.put(make_record(scored="??11"))
        other.export_parquet(tmp_path / "runs.parquet")
    store.put(make_record(scored="10??"))
    store.import_parquet(tmp_path / "runs.parquet")
    assert store.records()[0].correct == (True, False, True, True)


def _truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _flipped(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[200:600] = b"\xaa" * 400
    path.write_bytes(data)


def _foreign(path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), path)


def _other_format(path: Path) -> None:
    pq.write_table(pq.read_table(path).replace_schema_metadata({b"strata_runs_format": b"9"}), path)


def _lacking_a_column(path: Path) -> None:
    pq.write_table(pq.read_table(path).drop_columns("device"), path)


def _with_column(name: str, values: list[Any]) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        table = pq.read_table(path)
        field = table.schema.field(name)
        pq.write_table(table.set_column(table.schema.names.index(name), field, pa.array(values, field.type)), path)

    return change


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "truncated": _truncated,
    "flipped bytes": _flipped,
    "foreign": _foreign,
    "other format": _other_format,
    "lacking a column": _lacking_a_column,
    "empty": lambda path: path.write_bytes(b""),
    "text": lambda path: path.write_text("not parquet\nat all"),
    "missing": lambda path: path.unlink(),
    "outcomes": _with_column("correct", ["1x01"]),
    "lengths": _with_column("correct", ["1"]),
    "null list": _with_column("gold_nll", [None]),
    "null model": _with_column("model", [None]),
    "item set": _with_column("item_set", ["{}"]),
    "item set JSON": _with_column("item_set", ["{"]),
    "other items": _with_column("item_ids", [["a", "b", "c", "d"]]),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES.keys())
def test_a_malformed_file_is_one_line_and_changes_nothing(
    store: RunStore, tmp_path: Path, damage: Callable[[Path], Any]
) -> None:
    path = tmp_path / "runs.parquet"
    with RunStore(tmp_path / "other") as other:
        other.put(make_record())
        other.put_items(ITEMS)
        other.export_parquet(path)
    damage(path)
    with pytest.raises(StoreError) as caught:
        store.import_parquet(path)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    assert store.records() == []
    assert store.item_sets() == []


def test_a_small_file_of_endless_text_is_refused_before_it_is_spelled_out(
    store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of 12 kB took 5 GB: one long text of its dictionary, told 20,000 times."""
    path = tmp_path / "bomb.parquet"
    ids = tuple("x" * 10_000 for _ in range(200))
    store.put(make_record(item_ids=ids, correct=(True,) * 200, gold_nll=(0.5,) * 200))
    store.export_parquet(path)
    assert path.stat().st_size < 20_000
    monkeypatch.setattr(parquet, "MAX_TEXT_BYTES", 2_100_000)
    assert store.import_parquet(path) == 1
    monkeypatch.setattr(parquet, "MAX_TEXT_BYTES", 1_900_000)
    spelled_out = pq.ParquetFile.read
    monkeypatch.setattr(pq.ParquetFile, "read", lambda *_, **__: pytest.fail("it was spelled out"))
    with pytest.raises(StoreError, match="texts take more than"):
        store.import_parquet(path)
    monkeypatch.setattr(pq.ParquetFile, "read", spelled_out)


def test_the_state_changes_with_the_records_and_not_with_opening(tmp_path: Path) -> None:
    """Pages cache by it: by the files' times, every opening would have thrown their caches away."""
    path = tmp_path / "runs"
    assert store_state(path) == ()
    with RunStore(path) as store:
        store.put(make_record())
    before = store_state(path)
    with RunStore(path) as store:
        assert len(store.records()) == 1
        assert store_state(path) == before
        store.put(make_record("uniform", (1, 5)))
        added = store_state(path)
        assert added != before
        store.put(make_record("uniform", (1, 5), "1111"))
    assert store_state(path) not in (before, added)


@pytest.mark.slow
def test_a_hundred_kills_in_the_middle_of_writes_lose_one_record_each_at_most(tmp_path: Path) -> None:
    """SIGKILL while records are written, a record a transaction; what a process said it had kept is there."""
    path = tmp_path / "runs"
    start = 0
    kept: set[int] = set()
    for round_ in range(100):
        # a fork per kill: an interpreter and its imports would take a second each
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(read)
            with RunStore(path) as store:
                for k in range(start, start + 10**6):
                    store.put(make_record(plan=PruningPlan("tiny", 8, (k % 7, 7), "random", k)))
                    os.write(write, f"{k}\n".encode())
            os._exit(0)
        os.close(write)
        said = b""
        while said.count(b"\n") < 1 + round_ % 3:
            said += os.read(read, 4096)
        time.sleep(0.0007 * (round_ % 13))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        while more := os.read(read, 4096):
            said += more
        os.close(read)
        kept |= {int(k) for k in said.split()}
        start = max(kept) + 2
    with RunStore(path) as store:
        found = {r.plan.seed for r in store.records()}
    assert kept <= found
    assert len(found - kept) <= 100  # written, but killed before it could be said
