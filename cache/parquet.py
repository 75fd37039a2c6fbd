"""Runs in one Parquet file: how they are shipped with the project, exported and imported.

One row per record. A row carries its benchmark's items in `item_set` where it is the first row of that set, so a file
is complete in itself and holds each set once. pyarrow is imported when a file is read or written.
"""

import json
import os
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.errors import StoreError, StrataError

if TYPE_CHECKING:
    import pyarrow as pa

    from core.records.items import ItemSet
    from core.records.runs import RunRecord

FORMAT = "2"
READABLE = ("1", FORMAT)
# columns that files of earlier versions lack
OPTIONAL = ("attention", "hardware", "max_new_tokens", "answers", "graded")
FORMAT_KEY = b"strata_runs_format"
MAX_FILE_BYTES = 256 * 2**20
MAX_TEXT_BYTES = 2**30  # of all texts, spelled out
MAX_VALUES = 50_000_000  # list elements count; a small file can claim any number of them
ROW_GROUP = 256


def write_runs(path: Path, records: Iterable["RunRecord"], item_sets: Mapping[str, "ItemSet"]) -> None:
    """Write records, and the item sets they name, to one file; an existing file is replaced in one step."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows, seen = [], set()
    for record in records:
        row = record.to_dict()
        items = item_sets.get(record.data_hash) if record.data_hash not in seen else None
        row["item_set"] = json.dumps(items.to_dict(), separators=(",", ":")) if items else None
        seen.add(record.data_hash)
        rows.append(row)
    table = pa.Table.from_pylist(rows, schema=_schema())
    path.parent.mkdir(parents=True, exist_ok=True)
    tmp = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        pq.write_table(table, tmp, compression="zstd", compression_level=15, row_group_size=ROW_GROUP)
        os.replace(tmp, path)
    except OSError as error:
        raise StoreError(f"cannot write {path}: {_line(error)}") from error
    finally:
        tmp.unlink(missing_ok=True)


def load_recorded(path: Path, foreign: bool = False) -> tuple[list["RunRecord"], dict[str, "ItemSet"]]:
    """The records of a Parquet file of runs, and their item sets by data hash.

    Args:
        foreign: it may be anybody's: its texts are counted before they are spelled out.
    Raises:
        StoreError: one line, if the file is missing, damaged, foreign or of another version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    from core.records.items import ItemSet
    from core.records.runs import RunRecord

    path = Path(path)
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            raise StoreError(f"it is larger than {MAX_FILE_BYTES >> 20} MiB: export fewer runs per file")
        with pq.ParquetFile(path) as file:
            _check(file)
            if foreign:
                _check_texts(path, file.metadata)
            rows = file.read().to_pylist()
        sets: dict[str, ItemSet] = {}
        records = []
        for row in rows:
            if item_set := row.pop("item_set"):
                items = ItemSet.from_dict(json.loads(item_set))
                sets[items.data_hash] = items
            row["max_new_tokens"] = row.get("max_new_tokens") or 0
            row["gold_nll"] = [None if v is None else round(v, 4) for v in row["gold_nll"]]  # undo float32
            records.append(RunRecord.from_dict(row))
        for record in records:
            known = sets.get(record.data_hash)
            if known and record.item_ids != tuple(i.item_id for i in known.items):
                raise StoreError(f"record {record.run_id} does not match its items")
    except FileNotFoundError:
        raise StoreError(f"no runs at {path}") from None
    except (pa.ArrowException, OSError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise StoreError(f"{path} is not a file of Strata runs, or is damaged: {_line(error)}") from error
    except StrataError as error:  # a record that cannot be, or a file that _check refused
        raise StoreError(f"cannot read the runs of {path}: {error}") from error
    return records, sets


def _check(file: Any) -> None:
    """Refuse, before any data page is read, what is not ours or too large to open."""
    found = (file.schema_arrow.metadata or {}).get(FORMAT_KEY, b"").decode(errors="replace")
    if not found:
        raise StoreError("a Parquet file, but not of Strata runs: python -m core runs export writes one")
    if found not in READABLE:
        raise StoreError(f"it has format {found}, this version reads {FORMAT}: update Strata, or export it again")
    schema = file.schema_arrow
    names = {*schema.names, *(f.name for f in schema.field("model").flatten())} if "model" in schema.names else ()
    if not schema.equals(_schema([name for name in OPTIONAL if name not in names and f"model.{name}" not in names])):
        raise StoreError("it does not have the columns of Strata runs: export it again")
    meta = file.metadata
    groups = [meta.row_group(i) for i in range(meta.num_row_groups)]
    if sum(g.column(c).num_values for g in groups for c in range(g.num_columns)) > MAX_VALUES:
        raise StoreError(f"it holds more than {MAX_VALUES:,} values: export fewer runs per file")


def _check_texts(path: Path, meta: Any) -> None:
    """Refuse a file whose texts are too many to hold: a few bytes can stand for one long text, told a million times."""
    import pyarrow.parquet as pq

    if not meta.num_row_groups:
        return
    first = meta.row_group(0)
    columns = [first.column(c) for c in range(first.num_columns)]
    texts = sorted({c.path_in_schema for c in columns if c.physical_type == "BYTE_ARRAY"})
    total = 0
    with pq.ParquetFile(path, read_dictionary=texts) as file:
        for group in range(meta.num_row_groups):
            table = file.read_row_group(group, columns=texts)
            total += sum(_text_bytes(chunk) for column in table.columns for chunk in column.chunks)
            if total > MAX_TEXT_BYTES:
                raise StoreError(f"its texts take more than {MAX_TEXT_BYTES >> 20} MiB: export fewer runs per file")


def _text_bytes(array: Any) -> int:
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_struct(array.type):
        return sum(_text_bytes(field) for field in array.flatten())
    if pa.types.is_list(array.type):
        return _text_bytes(array.flatten())
    if pa.types.is_dictionary(array.type):
        lengths = pc.binary_length(array.dictionary).take(array.indices.drop_null())
    else:
        lengths = pc.binary_length(array)
    return int(pc.sum(lengths).as_py() or 0)


def _schema(without: Collection[str] = ()) -> "pa.Schema":
    """The columns of the file: `RunRecord.to_dict`, plus `item_set`."""
    import pyarrow as pa

    text, number = pa.string(), pa.int64()
    model = [
        *(("model_id", text), ("revision", text), ("family", text), ("n_layers", number)),
        *(("structural", pa.list_(number)), ("n_parameters", number), ("layer_parameters", pa.list_(number))),
        *(("dtype", text), ("device", text), ("attention", text)),
    ]
    plan = [("model_id", text), ("n_layers", number), ("criterion", text), ("seed", number), ("n_drop", number)]
    plan += [("dropped", pa.list_(number)), ("plan_id", text)]
    columns = [("model", pa.struct([field for field in model if field[0] not in without])), ("plan", pa.struct(plan))]
    columns += [(name, text) for name in ("benchmark", "domain", "data_hash", "metric")]
    columns += [("item_ids", pa.list_(text)), ("correct", text), ("gold_nll", pa.list_(pa.float32()))]
    columns += [("similarity_dropped", pa.float64())]
    columns += [(name, text) for name in ("device", "hardware", "created", "version", "origin", "item_set")]
    answer = pa.struct([("text", text), ("rule", text), ("failure", text), ("value", pa.float64())])
    columns += [("max_new_tokens", number), ("answers", pa.list_(answer)), ("graded", pa.float64())]
    return pa.schema([c for c in columns if c[0] not in without], metadata={FORMAT_KEY: FORMAT.encode()})


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
