"""A benchmark's Parquet files as a table or a stream whose columns are known to be what its reader expects."""

import random
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.benchmarks.registry import Benchmark
from core.benchmarks.sources import Source
from core.errors import SampleError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

SHUFFLE_BUFFER = 1000  # rows that a stream is shuffled within, and holds

Row = tuple[str, dict[str, Any]]


def _tests() -> dict[str, "Callable[[pa.DataType], bool]"]:
    """Column types by name, as tests on Arrow's."""
    from pyarrow import types

    def text(t: "pa.DataType") -> bool:
        return bool(types.is_string(t) or types.is_large_string(t))

    def listed(t: "pa.DataType") -> bool:
        return bool(types.is_list(t) or types.is_large_list(t))

    def fields(t: "pa.DataType", *names: str) -> bool:
        return bool(types.is_struct(t)) and {t.field(i).name for i in range(t.num_fields)} >= set(names)

    return {
        "text": text,
        "integer": lambda t: bool(types.is_integer(t)),
        "number": lambda t: bool(types.is_integer(t) or types.is_floating(t)),
        "texts": lambda t: listed(t) and text(t.value_type),
        "struct": lambda t: bool(types.is_struct(t)),
        "turns": lambda t: listed(t) and fields(t.value_type, "from", "value"),
        "image": lambda t: fields(t, "bytes", "path"),
    }


def check_columns(schema: "pa.Schema", columns: Mapping[str, str], of: str) -> None:
    """
    Args:
        schema: of a table.
        columns: name -> type, several joined by "|".
        of: what the table is called in messages.
    Raises:
        SampleError: a column is missing, or of another type.
    """
    tests = _tests()
    for name, wanted in columns.items():
        if name not in schema.names:
            raise SampleError(
                f"{of} has no column '{name}' (it has {', '.join(schema.names)}): its layout has changed, so pin the "
                "revision that you know, key@REVISION"
            )
        found = schema.field(name).type
        if not any(tests[kind](found) for kind in wanted.split("|")):
            raise SampleError(
                f"column '{name}' of {of} holds {found}, not {wanted.replace('|', ' or ')}: its layout has changed, so "
                "pin the revision that you know, key@REVISION"
            )


def open_table(benchmark: Benchmark, source: Source) -> "datasets.Dataset":
    """The table of a source, on disk, pictures left encoded.

    Raises:
        SampleError: `datasets` is not installed, the files are damaged, or their columns are others.
    """
    try:
        import datasets
    except ImportError:
        raise SampleError(
            "benchmarks need the package datasets: run .venv/bin/pip install -r requirements.txt"
        ) from None
    try:
        table = datasets.load_dataset("parquet", data_files={source.split: list(source.files)}, split=source.split)
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as error:
        raise SampleError(f"cannot read {source.described}: {_cause(error)}; fetch its files again") from error
    check_columns(table.features.arrow_schema, benchmark.columns, source.described)
    for name, feature in table.features.items():
        if isinstance(feature, datasets.Image):
            table = table.cast_column(name, datasets.Image(decode=False))
    return table


def stream_rows(benchmark: Benchmark, source: Source, seed: int) -> Iterator[Row]:
    """The rows of a source and where they are, in an order of the seed, read as they are asked for.

    The files come in an order of the seed and rows are shuffled within `SHUFFLE_BUFFER`, so that some rows of a large
    dataset can be drawn without fetching the rest, nor the columns that nobody reads. They come from few of its files,
    the same wherever the files lie.

    Raises:
        SampleError: the files are damaged, or their columns are others.
    """
    rng = random.Random(f"{source.dataset}/{seed}")
    waiting: list[Row] = []
    for file in rng.sample(source.files, len(source.files)):
        for row in _file_rows(benchmark, source, file):
            waiting.append(row)
            if len(waiting) > SHUFFLE_BUFFER:
                yield _taken(waiting, rng)
    while waiting:
        yield _taken(waiting, rng)


def _taken(waiting: list[Row], rng: random.Random) -> Row:
    index = rng.randrange(len(waiting))
    waiting[index], waiting[-1] = waiting[-1], waiting[index]
    return waiting.pop()


def _file_rows(benchmark: Benchmark, source: Source, file: str) -> Iterator[Row]:
    import pyarrow.parquet as pq
    from huggingface_hub import HfFileSystem
    from huggingface_hub.errors import HTTPError

    name, numbers = Path(file).stem, count()
    try:
        with HfFileSystem().open(file) if file.startswith("hf://") else Path(file).open("rb") as opened:
            parquet = pq.ParquetFile(opened)
            check_columns(parquet.schema_arrow, benchmark.columns, source.described)
            for batch in parquet.iter_batches(batch_size=64, columns=list(benchmark.columns)):
                yield from ((f"{name}:{next(numbers)}", row) for row in batch.to_pylist())
    except (HTTPError, OSError, ValueError) as error:  # what Arrow finds wrong is a ValueError
        raise SampleError(f"cannot read {source.described}: {_cause(error)}; try again") from error


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
