"""Pruning criteria: how a budget becomes a set of dropped layers.

Criteria describe themselves (`@criterion`), so no page or command lists them by hand. Each gets the atlas, the budget
and the protected layers, and returns the dropped layers; `build_plan` checks the budget for all of them.
"""

import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import numpy as np

from core.errors import CalibrationError, PlanError, suggest
from core.pruning.atlas import TOKEN_KINDS, Array, SimilarityAtlas
from core.records.plan import PruningPlan, check_budget, protected_layers


@dataclass(frozen=True)
class Options:
    """What a criterion may depend on besides the atlas."""

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
    group: str  # domain-aware | baseline | spaced
    choose: Chooser
    redundancy: Callable[[SimilarityAtlas, Options], Array] | None = None  # score per layer, if it ranks layers

    @property
    def description(self) -> str:
        return (self.choose.__doc__ or "").strip()


CRITERIA: dict[str, Criterion] = {}


def list_criteria() -> list[Criterion]:
    """The registered criteria, then the spaced form of each domain-aware one."""
    return [*CRITERIA.values(), *(spaced(c) for c in CRITERIA.values() if c.group == "domain-aware")]


def get_criterion(name: str) -> Criterion:
    """A criterion by name; "domain:<name>" ranks by one domain of the atlas, "spaced:<criterion>" spaces a ranking.

    "search" and "search:<domain>" name measured plans: they have a description, but cannot be computed from an atlas.

    Raises:
        PlanError: an unknown name, or a criterion to space that does not rank layers.
    """
    prefix, _, rest = name.partition(":")
    if prefix == "domain" and rest:
        return _domain_criterion(rest)
    if prefix == "spaced" and rest:
        return spaced(get_criterion(rest))
    if prefix == "search":
        return _search_criterion(name)
    if name not in CRITERIA:
        raise PlanError(f"unknown criterion '{name}': {suggest(name, [c.name for c in list_criteria()])}")
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
        CalibrationError: the atlas lacks what the criterion reads.
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


Redundancy = Callable[[SimilarityAtlas, Options], Array]


def ranking(name: str, *, label: str, source: str, group: str = "domain-aware") -> Callable[[Redundancy], Redundancy]:
    """Register a criterion that scores each layer; the highest score is dropped first."""

    def register(redundancy: Redundancy) -> Redundancy:
        CRITERIA[name] = _ranking_criterion(name, label, source, group, redundancy)
        return redundancy

    return register


def _ranking_criterion(name: str, label: str, source: str, group: str, redundancy: Redundancy) -> Criterion:
    def choose(atlas: SimilarityAtlas, n_drop: int, options: Options) -> Iterable[int]:
        return ranked_layers(redundancy(atlas, options), options.protected)[:n_drop]

    choose.__doc__ = redundancy.__doc__
    return Criterion(name, label, source, group, choose, redundancy)


def ranked_layers(scores: Array, protected: frozenset[int]) -> list[int]:
    """Unprotected layers, most redundant first; ties go to the deeper layer.

    Raises:
        CalibrationError: a score is NaN: the calibration samples have no token of that kind.
    """
    known = _known(scores)
    free = [i for i in range(len(known)) if i not in protected]
    return sorted(free, key=lambda i: (-known[i], -i))


def _known(scores: Array) -> Array:
    """The scores, refused if one is NaN, whose place in a sort is arbitrary."""
    if np.isnan(scores).any():
        raise CalibrationError("the atlas has no similarity of this token kind here: choose another token kind")
    return scores


def _free(atlas: SimilarityAtlas, options: Options) -> list[int]:
    return [i for i in range(atlas.n_layers) if i not in options.protected]


def _pooled(atlas: SimilarityAtlas, kind: str, length: int) -> Array:
    """Similarity of each span over all domains, each with the same weight."""
    return _known(np.asarray(np.mean([atlas.mean(d, None, kind, length) for d in atlas.domains], axis=0)))


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


def _domain_criterion(domain: str) -> Criterion:
    def redundancy(atlas: SimilarityAtlas, options: Options) -> Array:
        return atlas.mean(domain, None, options.kind)

    redundancy.__doc__ = f"Drop the layers that change inputs of the domain {domain} least."
    return _ranking_criterion(
        f"domain:{domain}", f"Domain {domain}", "after arXiv:2603.20275", "domain-aware", redundancy
    )


# ------------------------------------------------------------------------------------------------ ours


def spaced(base: Criterion) -> Criterion:
    """A ranking that avoids long runs: the most similar layers among the sets whose longest dropped run is shortest.

    Raises:
        PlanError: the criterion does not rank layers.
    """
    redundancy = base.redundancy
    if redundancy is None:
        raise PlanError(f"'{base.name}' does not rank layers, so it cannot be spaced: choose spaced:math_aware")

    def choose(atlas: SimilarityAtlas, n_drop: int, options: Options) -> Iterable[int]:
        scores = redundancy(atlas, options)
        free = ranked_layers(scores, options.protected)
        for max_run in range(1, atlas.n_layers + 1):
            chosen = best_spaced(scores, n_drop, max_run, frozenset(free))
            if chosen is not None:
                return chosen
        raise PlanError(f"no {n_drop} unprotected layers to drop")

    choose.__doc__ = f"{base.label}, with runs of dropped layers kept as short as the budget allows."
    return Criterion(f"spaced:{base.name}", f"{base.label}, spaced", "ours", "spaced", choose)


def _search_criterion(name: str) -> Criterion:
    def choose(atlas: SimilarityAtlas, n_drop: int, _options: Options) -> Iterable[int]:
        domain = name.partition(":")[2] or "math"
        raise PlanError(
            f"a searched plan is found by scoring plans, not from an atlas: run python -m core search "
            f"--model {atlas.model_id} --domain {domain} --budget {n_drop} --out plan.json"
        )

    choose.__doc__ = "The best plan that a local search found, scored on validation items (python -m core search)."
    return Criterion(name, "Search", "ours", "search", choose)


def best_spaced(scores: Array, n_drop: int, max_run: int, free: frozenset[int]) -> tuple[int, ...] | None:
    """The n_drop free layers with the highest total score and no more than max_run dropped in a row (exact).

    Dynamic programming over (layers dropped, length of the run that ends here); ties go to the deeper layers.

    Returns:
        The layers, ascending, or None if no such set exists.
    """
    # (dropped so far, run that ends at the last layer seen) -> (total score, layers deepest first)
    best: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {(0, 0): (0.0, ())}
    for layer, score in enumerate(scores):
        step: dict[tuple[int, int], tuple[float, tuple[int, ...]]] = {}
        for (count, run), (total, layers) in best.items():
            options = [((count, 0), (total, layers))]
            if layer in free and count < n_drop and run < max_run:
                options.append(((count + 1, run + 1), (total + float(score), (layer, *layers))))
            for state, found in options:
                if state not in step or found > step[state]:
                    step[state] = found
        best = step
    ends = [found for (count, _), found in best.items() if count == n_drop]
    return tuple(reversed(max(ends)[1])) if ends else None


# ------------------------------------------------------------------------------------------------ baselines


@ranking("shortgpt", label="ShortGPT", source="arXiv:2403.03853", group="baseline")
def shortgpt(atlas: SimilarityAtlas, options: Options) -> Array:
    """Drop the layers of the least block influence (1 - cosine), pooled over all tokens of all samples."""
    kind = TOKEN_KINDS.index(options.kind)
    tokens = atlas.n_tokens[:, kind].astype(np.float64)
    values = np.nan_to_num(atlas.values[:, kind, :, 0].astype(np.float64))  # a sample without such tokens weighs 0
    with np.errstate(invalid="ignore"):  # of no token at all, which is refused
        return np.asarray(tokens @ values / tokens.sum())


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
    angles = (np.arccos(np.clip(atlas.sample_values(d, None, "last", n_drop), -1, 1)) / np.pi for d in atlas.domains)
    distance = _known(np.mean([np.nanmean(a, axis=0) for a in angles], axis=0))
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


@criterion("greedy", label="Greedy", source="arXiv:2402.09025")
def greedy(atlas: SimilarityAtlas, n_drop: int, options: Options) -> Iterable[int]:
    """Repeatedly drop the layer whose removal raises the loss on the calibration set least."""
    order, how = atlas.greedy, f"run python -m core calibrate --model {atlas.model_id} --greedy"
    if order is None:
        raise CalibrationError(f"the atlas of {atlas.model_id} has no greedy order: {how}")
    if options.protected != frozenset(order.protected):
        spared = ", ".join(map(str, order.protected)) or "none"
        raise CalibrationError(
            f"the greedy order was calibrated with these layers protected: {spared}; it says nothing of other plans: "
            "protect the same layers or choose another criterion"
        )
    if n_drop > len(order.layers):
        raise CalibrationError(f"the greedy order was stopped after {len(order.layers)} layers: {how} to go on")
    return order.layers[:n_drop]
