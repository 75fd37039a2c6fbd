"""Pruning criteria: how a budget becomes a set of dropped layers.

Criteria describe themselves (`@criterion`), so no page or command lists them by hand. Each gets the atlas, the budget
and the protected layers, and returns the dropped layers; `build_plan` checks the budget for all of them.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from core.errors import CalibrationError, PlanError, suggest
from core.pruning.atlas import Array, SimilarityAtlas
from core.pruning.plan import PruningPlan, check_budget, protected_layers


@dataclass(frozen=True)
class Options:
    """What a criterion may depend on beside the atlas."""

    protected: frozenset[int]
    seed: int = 0
    weight: float = 0.5  # of math in `mixed`
    kind: str = "all"  # token kind of the similarities


Chooser = Callable[[SimilarityAtlas, int, Options], Iterable[int]]


@dataclass(frozen=True)
class Criterion:
    name: str
    label: str
    source: str  # the paper, or whose reading it is
    group: str  # domain-aware | baseline
    choose: Chooser
    redundancy: Callable[[SimilarityAtlas, Options], Array] | None = None  # score per layer, if it ranks layers

    @property
    def description(self) -> str:
        return (self.choose.__doc__ or "").strip()


CRITERIA: dict[str, Criterion] = {}


def list_criteria() -> list[Criterion]:
    return list(CRITERIA.values())


def get_criterion(name: str) -> Criterion:
    if name not in CRITERIA:
        raise PlanError(f"unknown criterion '{name}': {suggest(name, CRITERIA)}")
    return CRITERIA[name]


def build_plan(
    atlas: SimilarityAtlas,
    criterion: str,
    n_drop: int,
    *,
    seed: int = 0,
    weight: float = 0.5,
    kind: str = "all",
    protect_ends: bool = True,
) -> PruningPlan:
    """The plan that a criterion chooses at a budget.

    Raises:
        PlanError: unknown criterion, or a budget that the protected layers leave no room for.
    """
    chosen = get_criterion(criterion)
    protected = protected_layers(atlas.n_layers, atlas.structural, protect_ends)
    check_budget(n_drop, atlas.n_layers, len(protected))
    dropped = tuple(chosen.choose(atlas, n_drop, Options(protected, seed, weight, kind)))
    return PruningPlan(atlas.model_id, atlas.n_layers, dropped, criterion, seed if criterion == "random" else None)


def criterion(name: str, *, label: str, source: str) -> Callable[[Chooser], Chooser]:
    """Register a baseline that chooses layers directly."""

    def register(choose: Chooser) -> Chooser:
        CRITERIA[name] = Criterion(name, label, source, "baseline", choose)
        return choose

    return register


def ranking(name: str, *, label: str, source: str) -> Callable[[Callable[[SimilarityAtlas, Options], Array]], Chooser]:
    """Register a domain-aware criterion that scores each layer; the highest score is dropped first."""

    def register(redundancy: Callable[[SimilarityAtlas, Options], Array]) -> Chooser:
        def choose(atlas: SimilarityAtlas, n_drop: int, options: Options) -> Iterable[int]:
            return ranked_layers(redundancy(atlas, options), options.protected)[:n_drop]

        choose.__doc__ = redundancy.__doc__
        CRITERIA[name] = Criterion(name, label, source, "domain-aware", choose, redundancy)
        return choose

    return register


def ranked_layers(scores: Array, protected: frozenset[int]) -> list[int]:
    """Unprotected layers, most redundant first; ties go to the deeper layer.

    Raises:
        CalibrationError: a score is NaN, since the calibration samples have no token of that kind.
    """
    if np.isnan(scores).any():
        raise CalibrationError("the atlas has no similarity of this token kind here: choose another token kind")
    free = [i for i in range(len(scores)) if i not in protected]
    return sorted(free, key=lambda i: (-scores[i], -i))


def _free(atlas: SimilarityAtlas, options: Options) -> list[int]:
    return [i for i in range(atlas.n_layers) if i not in options.protected]


def _pooled(atlas: SimilarityAtlas, kind: str, length: int) -> Array:
    """Similarity of each span over all domains, each domain weighing the same."""
    return np.asarray(np.mean([atlas.mean(d, None, kind, length) for d in atlas.domains], axis=0))


# ------------------------------------------------------------------------------------------------ domain-aware


@ranking("math_aware", label="Math-aware", source="arXiv:2603.20275")
def math_aware(atlas: SimilarityAtlas, options: Options) -> Array:
    """Drop the layers that change math inputs least."""
    return atlas.mean("math", None, options.kind)


@ranking("non_math_aware", label="Non-math-aware", source="arXiv:2603.20275")
def non_math_aware(atlas: SimilarityAtlas, options: Options) -> Array:
    """Drop the layers that change general (non-math) inputs least."""
    return atlas.mean("general", None, options.kind)


@ranking("mixed", label="Mixed", source="arXiv:2603.20275; the equal weighting is our reading")
def mixed(atlas: SimilarityAtlas, options: Options) -> Array:
    """Drop by the weighted mean of the math and the general similarity (weight 0.5 unless set: our reading)."""
    w = options.weight
    return w * atlas.mean("math", None, options.kind) + (1 - w) * atlas.mean("general", None, options.kind)


# ------------------------------------------------------------------------------------------------ baselines


@criterion("random", label="Random", source="baseline, seeded")
def random_layers(atlas: SimilarityAtlas, n_drop: int, options: Options) -> Iterable[int]:
    """Drop layers at random, reproducibly from the seed."""
    return random.Random(f"plan/{options.seed}/{n_drop}").sample(_free(atlas, options), n_drop)


@criterion("uniform", label="Uniform", source="baseline")
def uniform(atlas: SimilarityAtlas, n_drop: int, options: Options) -> Iterable[int]:
    """Drop evenly spaced layers."""
    free = _free(atlas, options)
    return [free[int((i + 0.5) * len(free) / n_drop)] for i in range(n_drop)]


@criterion("deepest", label="Deepest", source="baseline")
def deepest(atlas: SimilarityAtlas, n_drop: int, options: Options) -> Iterable[int]:
    """Drop from the last unprotected layer backwards."""
    return _free(atlas, options)[-n_drop:]


@criterion("block", label="Block", source="arXiv:2403.17887")
def block(atlas: SimilarityAtlas, n_drop: int, options: Options) -> Iterable[int]:
    """Drop the contiguous block of the least angular distance at the last prompt token."""
    distance = np.mean(
        [
            np.nanmean(np.arccos(np.clip(atlas.sample_values(d, None, "last", n_drop), -1, 1)) / np.pi, axis=0)
            for d in atlas.domains
        ],
        axis=0,
    )
    starts = [i for i in range(len(distance)) if not options.protected & set(range(i, i + n_drop))]
    if not starts:
        raise PlanError(
            f"no contiguous block of {n_drop} unprotected layers exists: protected are {sorted(options.protected)}"
        )
    start = min(starts, key=lambda i: (distance[i], -i))
    return range(start, start + n_drop)


@criterion("interlace", label="Interlace triplets", source="arXiv:2511.19676")
def interlace(atlas: SimilarityAtlas, n_drop: int, options: Options) -> Iterable[int]:
    """From the most self-similar disjoint triplets (then pairs), drop the more redundant of the first two layers."""
    single = _pooled(atlas, options.kind, 1)
    dropped: list[int] = []
    taken: set[int] = set()
    for length in (3, 2):
        spans = _pooled(atlas, options.kind, length)
        for start in sorted(range(len(spans)), key=lambda i: (-spans[i], -i)):
            if len(dropped) == n_drop:
                return dropped
            if taken & set(range(start, start + length)):
                continue
            candidates = [i for i in (start, start + 1) if i not in options.protected]
            if not candidates:
                continue
            dropped.append(max(candidates, key=lambda i: (single[i], i)))
            taken |= set(range(start, start + length))
    if len(dropped) == n_drop:
        return dropped
    raise PlanError(
        f"interlace reaches {len(dropped)} layers here, not {n_drop}: its triplets and pairs do not overlap, "
        "so choose a smaller budget or another criterion"
    )
