"""Items of benchmarks: questions with what counts as right, and the sets of them that a score is over. No torch."""

from dataclasses import dataclass, fields
from typing import Any

from core.records.gold import Gold


@dataclass(frozen=True)
class BenchmarkItem:
    item_id: str
    task: str
    question: str
    answer: str  # gold
    source: str = ""  # how to get the image again
    choices: tuple[str, ...] = ()  # this and what follows: what else counts as right, see `core.scoring.judging.Gold`
    accepted: tuple[str, ...] = ()
    precision: int | None = None

    def __post_init__(self) -> None:
        # lists come back from JSON
        object.__setattr__(self, "choices", tuple(self.choices))
        object.__setattr__(self, "accepted", tuple(self.accepted))

    @property
    def gold(self) -> Gold:
        return Gold(self.answer, self.choices, self.accepted, self.precision)


@dataclass(frozen=True)
class ItemSet:
    """The items of one benchmark, in order; `data_hash` identifies them in every record.

    Attributes:
        metric: a name of `core.scoring.judging.METRICS`.
        max_new_tokens: limit of free answers, which the metric judges; 0: the gold answer is teacher-forced, which
            decides exact match without decoding.
        dataset: where the items come from, with its revision, "" for drawn ones.
        licence: of the dataset, as its publisher states it.
        note: what a reader of the scores must know, such as rows that were left out.
    """

    benchmark: str
    domain: str
    split: str
    data_hash: str
    items: tuple[BenchmarkItem, ...]
    metric: str = "exact_match"
    max_new_tokens: int = 0
    dataset: str = ""
    licence: str = ""
    note: str = ""

    def __repr__(self) -> str:
        about = f"{self.domain}, {self.split}, {len(self.items)} items, {self.metric}, data {self.data_hash[:8]}"
        return f"ItemSet({self.benchmark!r}: {about})"

    def to_dict(self) -> dict[str, Any]:
        return {**_stated(self), "items": [_stated(i) for i in self.items]}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ItemSet":
        return cls(**{**data, "items": tuple(BenchmarkItem(**i) for i in data["items"])})


def _stated(record: Any) -> dict[str, Any]:
    """The fields of a record that differ from their default."""
    return {f.name: getattr(record, f.name) for f in fields(record) if getattr(record, f.name) != f.default}
