"""Records: what a measurement is, with its provenance. Frozen, JSON at the edge, no torch.

A `RunRecord` is one plan scored on one benchmark, item by item. A record may be partial (`correct` holds None where an
item is not scored yet), which is how a stopped sweep resumes.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from core.errors import StoreError
from core.pruning.plan import ModelSpec, PruningPlan


@dataclass(frozen=True)
class BenchmarkItem:
    item_id: str
    task: str
    question: str
    answer: str  # gold
    source: str = ""  # how to get the image again


@dataclass(frozen=True)
class ItemSet:
    """The items of one benchmark, in order; `data_hash` identifies them in every record."""

    benchmark: str
    domain: str
    split: str
    data_hash: str
    items: tuple[BenchmarkItem, ...]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ItemSet":
        return cls(**{**data, "items": tuple(BenchmarkItem(**i) for i in data["items"])})


@dataclass(frozen=True)
class RunRecord:
    """Outcomes of one plan on one benchmark.

    Attributes:
        correct: one entry per item of the set named by `data_hash`, None where not scored yet.
        gold_nll: mean negative log-likelihood of the gold answer's tokens (nats per token), None where not scored yet.
        similarity_dropped: the benchmark domain's similarity summed over the dropped layers: the ranking's view of it.
        item_ids: the items, in order.
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
    created: str = ""  # ISO date and time, UTC
    version: str = ""  # of Strata
    origin: str = "measured"  # measured | imported | published

    def __post_init__(self) -> None:
        if not len(self.item_ids) == len(self.correct) == len(self.gold_nll):
            raise StoreError(f"damaged record of {self.plan.criterion} on {self.benchmark}: lengths differ")

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
        ]
        return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]

    @property
    def n_scored(self) -> int:
        return sum(c is not None for c in self.correct)

    @property
    def complete(self) -> bool:
        return self.n_scored == len(self.correct)

    @property
    def n_correct(self) -> int:
        return sum(c is True for c in self.correct)

    @property
    def score(self) -> float:
        """Share of scored items that are correct; NaN when none is scored."""
        return self.n_correct / self.n_scored if self.n_scored else float("nan")

    def with_outcomes(self, outcomes: Mapping[str, tuple[bool, float]]) -> "RunRecord":
        """This record with more items scored: item_id -> (correct, gold NLL)."""
        pairs = [
            outcomes.get(i, (c, nll)) for i, c, nll in zip(self.item_ids, self.correct, self.gold_nll, strict=True)
        ]
        return replace(self, correct=tuple(c for c, _ in pairs), gold_nll=tuple(nll for _, nll in pairs))

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
            "created": self.created,
            "version": self.version,
            "origin": self.origin,
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
                }
            )
        except (KeyError, TypeError) as error:
            raise StoreError(f"not a run record: {error!r}") from error


@dataclass(frozen=True)
class GenerationConfig:
    """How an answer is decoded; greedy unless a temperature is set."""

    max_new_tokens: int = 48
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0


@dataclass(frozen=True)
class TokenEvent:
    """One token of a streamed answer. `text` is what this token adds to the answer (may be empty in mid-character)."""

    pane: int  # which of the request's plans
    token_id: int
    text: str
    elapsed_s: float  # since the request was taken up
    top5: tuple[tuple[str, float], ...] = ()  # (token text, probability), most likely first


@dataclass(frozen=True)
class Answer:
    """A finished answer. `stopped` is end | length | cancelled."""

    model_id: str
    plan: PruningPlan | None  # None is the full model
    question: str
    text: str
    tokens: int
    ttft_s: float
    tokens_per_s: float
    stopped: str
    events: tuple[TokenEvent, ...] = field(default=(), repr=False)

    def to_dict(self) -> dict[str, Any]:
        return {
            "model": self.model_id,
            "plan": self.plan.to_dict() if self.plan else None,
            "question": self.question,
            "answer": self.text,
            "tokens": self.tokens,
            "ttft_s": round(self.ttft_s, 4),
            "tokens_per_s": round(self.tokens_per_s, 2),
            "stopped": self.stopped,
        }


def outcomes_frame(records: Iterable[RunRecord], tasks: Mapping[str, str] | None = None) -> pd.DataFrame:
    """One row per scored item of every record: the table that the analysis reads.

    Args:
        tasks: item_id -> task name, to fill the `task` column.
    Returns:
        Columns plan_id, criterion, seed, n_drop, longest_run, similarity_dropped, benchmark, domain, item_id, task,
        correct (bool), gold_nll.
    """
    frames = []
    for r in records:
        scored = np.array([c is not None for c in r.correct], dtype=bool)
        ids = np.array(r.item_ids, dtype=object)[scored]
        frames.append(
            pd.DataFrame(
                {
                    "plan_id": r.plan.plan_id,
                    "criterion": r.plan.criterion,
                    "seed": -1 if r.plan.seed is None else r.plan.seed,
                    "n_drop": r.plan.n_drop,
                    "longest_run": r.plan.longest_run,
                    "similarity_dropped": r.similarity_dropped,
                    "benchmark": r.benchmark,
                    "domain": r.domain,
                    "item_id": ids,
                    "task": [tasks.get(i, "") for i in ids] if tasks else "",
                    "correct": np.array([c is True for c in r.correct], dtype=bool)[scored],
                    "gold_nll": np.array([np.nan if v is None else v for v in r.gold_nll])[scored],
                }
            )
        )
    columns = (
        "plan_id criterion seed n_drop longest_run similarity_dropped benchmark domain item_id task correct gold_nll"
    )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=columns.split())
