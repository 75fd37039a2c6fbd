"""Keys of the run store: content hashes behind a prefix that says what kind of value they name.

The rule: every input that changes a value is part of its key. `RunRecord.run_id` and `ItemSet.data_hash` are such
hashes already, so the same measurement lands under the same key wherever it was made.
"""

RUN = "run:"
ITEMS = "items:"
SCHEMA = "meta:schema"


def run_key(run_id: str) -> str:
    return RUN + run_id


def items_key(data_hash: str) -> str:
    return ITEMS + data_hash
