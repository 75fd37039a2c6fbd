"""Pruning plans: which decoder layers of which model are dropped.

The convention of the whole project: layer indices are 0-based in the *full* model; a block is half-open
`[start, stop)`; a budget is `n_drop`, a count (percent is display only); a score says how *redundant* a layer is, so
the highest score is dropped first.
"""

import hashlib
import json
from dataclasses import dataclass
from operator import index
from pathlib import Path
from typing import Any

from core.errors import PlanError

PLAN_FILE = "strata_plan.json"  # in the folder of an exported checkpoint: the plan, and where the weights come from


@dataclass(frozen=True)
class ModelSpec:
    """What a model is, without its weights."""

    model_id: str
    revision: str  # commit of the Hub, or a content hash of the local weights
    family: str  # transformers' model_type
    n_layers: int  # decoder layers
    structural: tuple[int, ...]  # layers that no plan may drop (DeepStack injection sites)
    n_parameters: int
    layer_parameters: tuple[int, ...]  # of each decoder layer
    dtype: str
    device: str
    attention: str = ""  # transformers' name of the decoder's attention: sdpa, eager; part of no key

    def __post_init__(self) -> None:
        # lists come back from JSON
        object.__setattr__(self, "structural", tuple(self.structural))
        object.__setattr__(self, "layer_parameters", tuple(self.layer_parameters))

    def to_dict(self) -> dict[str, Any]:
        return dict(vars(self))  # asdict would copy every layer's count for each record

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "ModelSpec":
        return cls(**data)


@dataclass(frozen=True)
class PruningPlan:
    """A set of dropped layers and the criterion that chose them.

    Sorts and de-duplicates `dropped`; refuses indices outside the model and plans that keep no layer.
    """

    model_id: str
    n_layers: int
    dropped: tuple[int, ...]
    criterion: str = "manual"
    seed: int | None = None  # of random plans

    def __post_init__(self) -> None:
        dropped = tuple(sorted({int(i) for i in self.dropped}))
        if dropped and not 0 <= dropped[0] <= dropped[-1] < self.n_layers:
            raise PlanError(
                f"layer {next(i for i in dropped if not 0 <= i < self.n_layers)} does not exist: "
                f"{self.model_id} has layers 0 to {self.n_layers - 1}"
            )
        if len(dropped) >= self.n_layers:
            raise PlanError(f"a plan must keep at least one of the {self.n_layers} layers of {self.model_id}")
        object.__setattr__(self, "dropped", dropped)

    @property
    def kept(self) -> tuple[int, ...]:
        gone = set(self.dropped)
        return tuple(i for i in range(self.n_layers) if i not in gone)

    @property
    def n_drop(self) -> int:
        return len(self.dropped)

    @property
    def longest_run(self) -> int:
        """Length of the longest contiguous run of dropped layers."""
        longest = run = 0
        for i in range(self.n_layers):
            run = run + 1 if i in self.dropped else 0
            longest = max(longest, run)
        return longest

    @property
    def plan_id(self) -> str:
        """Content id of what is dropped: criteria that choose the same layers share it."""
        content = f"{self.model_id}/{self.n_layers}/{','.join(map(str, self.dropped))}"
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def to_dict(self) -> dict[str, Any]:
        return {
            "model_id": self.model_id,
            "n_layers": self.n_layers,
            "criterion": self.criterion,
            "seed": self.seed,
            "n_drop": self.n_drop,
            "dropped": list(self.dropped),
            "plan_id": self.plan_id,
        }

    @classmethod
    def from_dict(cls, data: Any) -> "PruningPlan":
        try:
            return cls(
                str(data["model_id"]),
                index(data["n_layers"]),
                tuple(index(i) for i in data["dropped"]),  # not int(): "12" is not layers 1 and 2, nor 1.9 layer 1
                str(data.get("criterion", "manual")),
                None if data.get("seed") is None else int(data["seed"]),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PlanError(
                'not a plan: expected JSON with "model_id", "n_layers" and "dropped", as "plan --json" writes'
            ) from error

    @classmethod
    def load(cls, path: Path) -> "PruningPlan":
        try:
            return cls.from_dict(json.loads(path.read_text()))
        except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
            raise PlanError(f"cannot read the plan {path}: {error}") from error


def protected_layers(n_layers: int, structural: tuple[int, ...] = (), protect_ends: bool = True) -> frozenset[int]:
    """Layers that no criterion may drop: structural ones always, the first and the last unless switched off."""
    ends = {0, n_layers - 1} if protect_ends else set()
    return frozenset(ends | set(structural))


def parse_budget(text: str, n_layers: int) -> int:
    """A budget given as a count ("4") or as a percentage of depth ("25%", rounded to the nearest layer)."""
    raw = text.strip()
    try:
        n_drop = round(float(raw[:-1]) / 100 * n_layers) if raw.endswith("%") else int(raw)
    except (ValueError, OverflowError):
        raise PlanError(f"budget '{text}' is not a number of layers or a percentage: give 4 or 25%") from None
    check_budget(n_drop, n_layers)
    return n_drop


def check_budget(n_drop: int, n_layers: int, n_protected: int = 0) -> None:
    most = n_layers - max(n_protected, 1)
    if not 1 <= n_drop <= most:
        why = f", {n_protected} of them protected" if n_protected else ""
        raise PlanError(f"budget {n_drop} is outside 1 to {most}: the model has {n_layers} decoder layers{why}")
