"""Records: what a measurement is, with its provenance. Frozen, JSON at the edge, no torch.

A `RunRecord` is one plan scored on one benchmark, item by item. A record may be partial (`correct` holds None where an
item is not scored yet), which is how a stopped sweep resumes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from core.errors import StoreError
from core.records.answers import ItemAnswer
from core.records.plan import ModelSpec, PruningPlan


class Outcome(NamedTuple):
    """One item under one plan."""

    correct: bool
    gold_nll: float | None  # nats per token; None where it was not measured
    answer: ItemAnswer | None = None  # of benchmarks with free answers


@dataclass(frozen=True)
class RunRecord:
    """Outcomes of one plan on one benchmark.

    Attributes:
        correct: one entry per item of the set named by `data_hash`, None where not scored yet.
        gold_nll: mean negative log-likelihood of the gold answer's tokens (nats per token), None where not scored yet.
        similarity_dropped: the domain's similarity summed over the dropped layers: what a ranking maximises.
        item_ids: the items, in order.
        max_new_tokens: of freely written answers; 0 where the gold answer was teacher-forced.
        answers: what was written, one entry per item like `correct`; empty for teacher-forced runs, and in listings.
        graded: mean of the metric's values over free answers. VQA accuracy is graded: `correct` means 0.5 or more.
    """

    model: ModelSpec
    plan: PruningPlan
    benchmark: str
    domain: str
    data_hash: str
    metric: str
    item_ids: tuple[str, ...] = field(repr=False)
    correct: tuple[bool | None, ...] = field(repr=False)
    gold_nll: tuple[float | None, ...] = field(repr=False)
    similarity_dropped: float = float("nan")
    device: str = ""
    hardware: str = ""  # what torch calls the device: "cpu", "NVIDIA H200"; not part of the run's name
    created: str = ""  # ISO date and time, UTC
    version: str = ""  # of Strata
    origin: str = "measured"  # measured | imported | published
    max_new_tokens: int = 0
    answers: tuple[ItemAnswer | None, ...] = field(default=(), repr=False)
    graded: float | None = None

    def __post_init__(self) -> None:
        lengths = {len(self.item_ids), len(self.correct), len(self.gold_nll), len(self.answers or self.item_ids)}
        if len(lengths) > 1:
            raise StoreError(f"damaged record of {self.plan.criterion} on {self.benchmark}: lengths differ")

    def __repr__(self) -> str:
        plan, seed = self.plan, "" if self.plan.seed is None else f" seed {self.plan.seed}"
        scored = f"{self.graded_score:.1%} of {self.n_scored}/{len(self.item_ids)} items"
        return (
            f"RunRecord({self.run_id}: {self.model.model_id!r}, {plan.criterion}{seed}, {plan.n_drop} of "
            f"{plan.n_layers} layers dropped, {self.benchmark}: {scored}, {self.metric}, {self.origin})"
        )

    @property
    def run_id(self) -> str:
        """Content key: everything that changes the result, and the criterion that it is filed under."""
        content = [
            self.model.model_id,
            self.model.revision,
            self.model.dtype,
            self.plan.plan_id,
            self.plan.criterion,
            self.plan.seed,
            self.benchmark,
            self.data_hash,
            self.metric,
            self.device,
            self.origin,
            *([self.max_new_tokens] if self.max_new_tokens else []),
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def n_scored(self) -> int:
        return len(self.correct) - self.correct.count(None)

    @property
    def complete(self) -> bool:
        return self.n_scored == len(self.correct)

    @property
    def n_correct(self) -> int:
        return self.correct.count(True)

    @property
    def score(self) -> float:
        """Share of scored items that are correct; NaN when none is scored."""
        return self.n_correct / self.n_scored if self.n_scored else float("nan")

    @property
    def graded_score(self) -> float:
        """The metric's own mean: `graded`, or the score where there is none."""
        return self.score if self.graded is None else self.graded

    @property
    def outcomes(self) -> dict[str, Outcome]:
        """What is scored, by item."""
        answers = self.answers or (None,) * len(self.item_ids)
        rows = zip(self.item_ids, self.correct, self.gold_nll, answers, strict=True)
        return {i: Outcome(c, nll, a) for i, c, nll, a in rows if c is not None}

    def with_outcomes(self, outcomes: Mapping[str, Outcome]) -> "RunRecord":
        """This record with more items scored."""
        if not outcomes:
            return self
        held = {**self.outcomes, **outcomes}
        found = [held.get(i) for i in self.item_ids]
        answers = tuple(o.answer if o else None for o in found)
        values = [a.value for a in answers if a is not None]
        return replace(
            self,
            correct=tuple(o.correct if o else None for o in found),
            gold_nll=tuple(o.gold_nll if o else None for o in found),
            answers=answers if values else (),
            graded=sum(values) / len(values) if values else self.graded,
        )

    def to_dict(self) -> dict[str, Any]:
        """Compact JSON: outcomes as one character per item, NLLs to 4 decimals."""
        return {
            "model": self.model.to_dict(),
            "plan": self.plan.to_dict(),
            "benchmark": self.benchmark,
            "domain": self.domain,
            "data_hash": self.data_hash,
            "metric": self.metric,
            "item_ids": list(self.item_ids),
            "correct": "".join("?" if c is None else "1" if c else "0" for c in self.correct),
            "gold_nll": [None if v is None else round(v, 4) for v in self.gold_nll],
            "similarity_dropped": self.similarity_dropped,
            "device": self.device,
            "hardware": self.hardware,
            "created": self.created,
            "version": self.version,
            "origin": self.origin,
            **({"max_new_tokens": self.max_new_tokens} if self.max_new_tokens else {}),
            **({"graded": self.graded} if self.graded is not None else {}),
            **({"answers": [a and vars(a) for a in self.answers]} if self.answers else {}),
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "RunRecord":
        try:
            return cls(
                **{
                    **data,
                    "model": ModelSpec.from_dict(data["model"]),
                    "plan": PruningPlan.from_dict(data["plan"]),
                    "item_ids": tuple(data["item_ids"]),
                    "correct": tuple({"?": None, "1": True, "0": False}[c] for c in data["correct"]),
                    "gold_nll": tuple(data["gold_nll"]),
                    "answers": tuple(a and ItemAnswer(**a) for a in data.get("answers") or ()),
                }
            )
        except (KeyError, TypeError) as error:
            raise StoreError(f"not a run record: {error!r}") from error


def outcomes_frame(records: Iterable[RunRecord], tasks: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row per scored item of every record: the table that the analysis reads.

    Args:
        tasks: item_id -> task name, to fill the `task` column.
    Returns:
        Columns plan_id, criterion, seed, n_drop, longest_run, similarity_dropped, benchmark, domain, item_id, task,
        correct (bool), gold_nll, graded (the record's mean value of a graded metric; NaN where there is none).
    """
    columns = [
        "plan_id",
        "criterion",
        "seed",
        "n_drop",
        "longest_run",
        "similarity_dropped",
        "benchmark",
        "domain",
        "item_id",
        "task",
        "correct",
        "gold_nll",
        "graded",
    ]
    records = list(records)
    if not records:
        return pd.DataFrame(columns=columns)
    scored = [np.array([c is not None for c in r.correct], dtype=bool) for r in records]
    runs = pd.DataFrame(
        {
            "plan_id": [r.plan.plan_id for r in records],
            "criterion": [r.plan.criterion for r in records],
            "seed": [-1 if r.plan.seed is None else r.plan.seed for r in records],
            "n_drop": [r.plan.n_drop for r in records],
            "longest_run": [r.plan.longest_run for r in records],
            "similarity_dropped": [r.similarity_dropped for r in records],
            "benchmark": [r.benchmark for r in records],
            "domain": [r.domain for r in records],
            "graded": [np.nan if r.graded is None else r.graded for r in records],
        }
    )
    frame = runs.take(np.repeat(np.arange(len(records)), [s.sum() for s in scored])).reset_index(drop=True)
    frame["item_id"] = np.concatenate([np.array(r.item_ids, object)[s] for r, s in zip(records, scored, strict=True)])
    frame["task"] = frame.item_id.map(tasks).fillna("") if tasks else ""
    right = [np.array([c is True for c in r.correct], dtype=bool)[s] for r, s in zip(records, scored, strict=True)]
    frame["correct"] = np.concatenate(right)
    nll = [np.array(r.gold_nll, np.float64)[s] for r, s in zip(records, scored, strict=True)]
    frame["gold_nll"] = np.concatenate(nll)
    return frame[columns]
