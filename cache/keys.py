"""Keys of the run store: content hashes behind a prefix that says what kind of value they name.

The rule: every input that changes a value is part of its key. `RunRecord.run_id` and `ItemSet.data_hash` are such
hashes already, so the same measurement lands under the same key wherever it was made. Model and benchmark stand before
a run's hash, so that the runs of one model lie side by side and are found without reading any other.
"""

import hashlib
import json
from typing import TYPE_CHECKING, Any

from core.errors import StoreError

if TYPE_CHECKING:
    from core.records.runs import RunRecord

RUN = "run\t"
RUN_1 = "run:"  # of schema 1: the hash alone
ANSWERS = "answers\t"
ITEMS = "items:"
REFERENCE = "reference:"  # a figure without outcomes
PART = "part:"  # what many records have in common: a model's description, the ids of a benchmark's items
SCHEMA = "meta:schema"


def run_key(record: "RunRecord") -> str:
    if "\t" in record.model.model_id + record.benchmark:
        raise StoreError("the names of models and benchmarks hold no tab: rename the folder or the table")
    return run_prefix(record.model.model_id, record.benchmark) + record.run_id


def run_prefix(model_id: str | None = None, benchmark: str | None = None) -> str:
    """What the keys of all runs, of a model's, or of a model's on one benchmark begin with (names hold no tab)."""
    names = () if model_id is None else (model_id,) if benchmark is None else (model_id, benchmark)
    return RUN + "".join(f"{name}\t" for name in names)


def answers_key(run: str) -> str:
    """What was written in a run, beside the run."""
    return ANSWERS + run.removeprefix(RUN)


def items_key(data_hash: str) -> str:
    return ITEMS + data_hash


def part_key(part: Any) -> str:
    return PART + hashlib.sha256(json.dumps(part, sort_keys=True).encode()).hexdigest()[:16]
