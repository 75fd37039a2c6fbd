"""Which program wrote a file or folder of results, from names and first bytes."""

from pathlib import Path

from core.errors import StoreError, suggest
from core.interop.files import PICKLES, files_below
from core.interop.lmms_eval import RESULTS, SAMPLES, read_lmms_eval
from core.interop.records import ImportReport
from core.interop.vlmevalkit import STATUS, TABLES, read_vlmevalkit

READERS = {"lmms-eval": read_lmms_eval, "vlmevalkit": read_vlmevalkit}


def detect_format(path: Path) -> str:
    """strata | lmms-eval | vlmevalkit.

    Raises:
        StoreError: none of them, or nothing there.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError(f"no results at {path}")
    files = files_below(path)[0] if path.is_dir() else [path]
    if any(_is_parquet(file) for file in files):
        return "strata"
    if any(RESULTS.fullmatch(file.name) or SAMPLES.fullmatch(file.name) for file in files):
        return "lmms-eval"
    if any(file.name == STATUS or file.suffix.lower() in TABLES for file in files):
        return "vlmevalkit"
    if path.suffix.lower() in PICKLES:
        raise StoreError(f"{path.name}: pickle files are not opened, they can run code: export the table instead")
    raise StoreError(
        f"{path} holds no results that are known: give runs of Strata (.parquet), of lmms-eval (..._results.json, "
        "..._samples_TASK.jsonl) or of VLMEvalKit (its tables, or the folder MODEL/EVAL_ID)"
    )


def read_results(path: Path, harness: str = "") -> ImportReport:
    """Read another harness's results.

    Args:
        harness: lmms-eval | vlmevalkit; found out if it is not given.
    Raises:
        StoreError: see the readers; also for runs of Strata, which `cache.load_recorded` reads.
    """
    harness = harness or detect_format(path)
    if harness == "strata":
        raise StoreError(f"{path} holds runs of Strata: python -m core runs import reads them as they are")
    if harness not in READERS:
        raise StoreError(f"unknown format '{harness}': {suggest(harness, READERS)}")
    return READERS[harness](path)


def _is_parquet(path: Path) -> bool:
    if path.suffix.lower() != ".parquet" or not path.is_file():
        return False
    try:
        with path.open("rb") as file:
            return file.read(4) == b"PAR1"
    except OSError:
        return False
