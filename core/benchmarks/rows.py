"""A dataset's row as an item: read, or left out with a reason; its id; its side of a split by content."""

import hashlib
import json
from collections import Counter
from typing import Any

from core.benchmarks.registry import Benchmark, Item
from core.errors import SampleError

CALIBRATION_PERCENT = 20


def read_row(benchmark: Benchmark, row: dict[str, Any], where: str) -> Item | str:
    """A row as an item with its encoded picture, or why it is left out.

    Raises:
        SampleError: the row is not what the benchmark's reader expects.
    """
    pictures = [name for name, kind in benchmark.columns.items() if kind == "image"]
    try:
        item = benchmark.to_item({**row, **{name: _encoded(row[name]) for name in pictures}})
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, SyntaxError) as error:
        why = " ".join(str(error).split())[:160] or type(error).__name__
        raise SampleError(
            f"{where} cannot be read as {benchmark.key} ({why}): pin the revision that you know"
        ) from error
    return "without an answer" if isinstance(item, Item) and not item.answer.strip() else item


def _encoded(cell: dict[str, Any] | None) -> bytes | None:
    """The bytes of a picture's cell."""
    encoded: bytes | None = cell["bytes"] if cell else None
    if cell and not encoded and cell["path"]:  # never opened: the path is somebody else's
        raise ValueError("it names a picture instead of holding it")
    return encoded or None


class Ids:
    """Ids of contents: the prompt, the picture and what counts as right, not where they were found.

    Contents that come again are numbered, since the items of a record have distinct ids and leaving them out would
    change a benchmark: POPE asks the same of the same picture in up to three of its categories.
    """

    def __init__(self) -> None:
        self._times: Counter[str] = Counter()

    def of(self, item: Item) -> str:
        digest = hashlib.sha256(f"{item.question}\0{item.answer}\0".encode())
        digest.update(item.image or b"")
        if item.choices or item.accepted or item.precision is not None:
            digest.update(json.dumps([item.choices, item.accepted, item.precision]).encode())
        content = digest.hexdigest()
        self._times[content] += 1
        again = self._times[content]
        return (content if again == 1 else hashlib.sha256(f"{content}/{again}".encode()).hexdigest())[:16]


def side_of(item: Item) -> str:
    """calibration | held_out, by the item's group: its picture, or its text where there is none."""
    group = item.group.encode() if item.group else item.image or item.question.encode()
    percent = int(hashlib.sha256(group).hexdigest()[:8], 16) % 100
    return "calibration" if percent < CALIBRATION_PERCENT else "held_out"
