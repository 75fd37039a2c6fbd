"""A benchmark's Parquet files as a table whose columns are known to be what its reader expects."""

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from core.data.benchmarks.registry import Benchmark
from core.data.benchmarks.sources import Source
from core.errors import SampleError

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa

SHUFFLE_BUFFER = 1000  # rows that a stream is shuffled within; at most these and the wanted ones are fetched


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


def open_table(benchmark: Benchmark, source: Source, stream_seed: int | None) -> "datasets.Dataset":
    """The table of a source, pictures left encoded; with a seed, a stream of shuffled rows instead.

    A stream takes the files in an order of the seed and shuffles within `SHUFFLE_BUFFER` rows, so that the first rows
    of a large dataset can be drawn without fetching the rest; they come from few of its files.

    Raises:
        SampleError: `datasets` is not installed, the files are damaged, or their columns are others.
    """
    try:
        import datasets
    except ImportError:
        raise SampleError(
            "benchmarks need the package datasets: run .venv/bin/pip install -r requirements.txt"
        ) from None
    streaming = stream_seed is not None
    of = f"{source.dataset} (revision {source.revision}, {source.config}/{source.split})"
    try:
        table = datasets.load_dataset(
            "parquet", data_files={source.split: list(source.files)}, split=source.split, streaming=streaming
        )
    except (datasets.exceptions.DatasetsError, OSError, ValueError) as error:
        raise SampleError(f"cannot read {of}: {_cause(error)}; fetch its files again") from error
    check_columns(table.features.arrow_schema, benchmark.columns, of)
    for name, feature in table.features.items():
        if isinstance(feature, datasets.Image):
            table = table.cast_column(name, datasets.Image(decode=False))
    return table.shuffle(seed=stream_seed, buffer_size=SHUFFLE_BUFFER) if streaming else table


def _cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).splitlines() or [type(error).__name__])[0][:160]
