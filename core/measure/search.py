"""Search: a good plan for one domain and budget by local search, chosen on validation items and reported on test items.

The objective is the mean gold NLL, which is smoother than exact match: plans that answer the same items still differ.
Whatever is chosen on some items looks better there than it is, so the result is compared on items that no choice saw.
"""

import math
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from core.analysis.statistics import Interval, mcnemar_exact, paired_bootstrap
from core.errors import PlanError, SampleError
from core.measure.sweep import FULL, Benchmark, Progress, run_sweep, sweep_plans
from core.pruning.atlas import SimilarityAtlas
from core.pruning.criteria import list_criteria
from core.records.items import ItemSet
from core.records.plan import PruningPlan, protected_layers
from core.records.runs import RunRecord

if TYPE_CHECKING:
    from cache.run_store import RunStore
    from core.measure.executors import Executor, Scorer
    from core.vlm.loading import VLM

MAX_PLANS = 300
N_RANDOM = 8  # starts beside the criteria's plans
PER_ROUND = 48  # neighbours scored at once: all of them in the embedded model, which has 14 free layers

Layers = tuple[int, ...]


def local_search(
    score: Callable[[list[Layers]], list[float]],
    free: Sequence[int],
    n_drop: int,
    starts: Sequence[Layers],
    max_plans: int,
    seed: int = 0,
) -> dict[Layers, float]:
    """Best-first local search over sets of n_drop layers; a move swaps a dropped layer for a kept one.

    Each round scores untried neighbours of the best plan that has any. So it descends while it can, and from a local
    optimum it goes on at the next best plan, until max_plans or every plan have been tried.

    Args:
        score: losses of some plans, lower is better; asked once for each plan, a round at a time.
        starts: scored first, together with a few random plans.
    Returns:
        The loss of every plan tried, in the order of trying.
    """
    rng = random.Random(f"search/{seed}/{n_drop}")
    tried: dict[Layers, float] = {}

    def try_plans(plans: Sequence[Layers]) -> None:
        new = [p for p in dict.fromkeys(plans) if p not in tried][: max_plans - len(tried)]
        tried.update(zip(new, score(new), strict=True))

    try_plans([*starts, *(tuple(sorted(rng.sample(free, n_drop))) for _ in range(N_RANDOM))])
    while len(tried) < max_plans:
        by_loss = sorted(tried, key=lambda plan: (tried[plan], plan))
        untried = ([n for n in neighbours(plan, free) if n not in tried] for plan in by_loss)
        moves = next(filter(None, untried), None)
        if moves is None:
            break  # swaps lead from any plan to any other, so there is none left
        try_plans(rng.sample(moves, min(PER_ROUND, len(moves))))
    return tried


def neighbours(plan: Layers, free: Sequence[int]) -> Iterator[Layers]:
    """The plans that drop one other layer instead of one of this plan's."""
    for gone in plan:
        for layer in free:
            if layer not in plan:
                yield tuple(sorted({*plan, layer} - {gone}))


@dataclass(frozen=True)
class Rival:
    """A criterion's plan, and how the plan found compares with it on the test items.

    Attributes:
        chosen_on: the split on which it was the best criterion. Chosen on `test`, it is optimistic: it saw the items.
        difference: score of the plan found minus the rival's, with the paired bootstrap interval.
        p_value: exact McNemar test.
    """

    plan: PruningPlan
    chosen_on: str
    validation_nll: float
    score: float
    difference: Interval
    p_value: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "criterion": self.plan.criterion,
            "dropped": list(self.plan.dropped),
            "chosen_on": self.chosen_on,
            "validation_nll": _finite(self.validation_nll),
            "exact_match": self.score,
            "difference": self.difference.to_dict(),
            "p_value": self.p_value,
        }


@dataclass(frozen=True)
class SearchReport:
    """What a search found. Scores are exact match, losses mean gold NLL in nats per token.

    Attributes:
        tried: distinct plans scored on the validation items, of `possible` ones.
        full_score: the unpruned model's on the test items.
        rivals: the best criterion by loss on validation, then the best by score on test.
    """

    plan: PruningPlan
    seed: int
    tried: int
    possible: int
    validation: ItemSet
    validation_nll: float
    validation_score: float
    test: ItemSet
    score: float
    full_score: float
    rivals: tuple[Rival, ...]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """The plan, as `PruningPlan.from_dict` reads it, and beside it how it was found."""
        return {
            **self.plan.to_dict(),
            "domain": self.test.domain,
            "search_seed": self.seed,
            "plans_tried": self.tried,
            "plans_possible": self.possible,
            "validation": {
                "data_hash": self.validation.data_hash,
                "n": len(self.validation.items),
                "gold_nll": _finite(self.validation_nll),
                "exact_match": self.validation_score,
            },
            "test": {
                "benchmark": self.test.benchmark,
                "data_hash": self.test.data_hash,
                "n": len(self.test.items),
                "exact_match": self.score,
                "full_model": self.full_score,
            },
            "against": [rival.to_dict() for rival in self.rivals],
            "seconds": round(self.seconds, 1),
        }


def search_plan(
    vlm: "VLM | Executor",
    atlas: SimilarityAtlas,
    n_drop: int,
    validation: Benchmark,
    test: Benchmark,
    runs: "RunStore",
    trials: "RunStore",
    *,
    max_plans: int = MAX_PLANS,
    seed: int = 0,
    progress: Progress | None = None,
    should_stop: Callable[[], bool] | None = None,
    scorer: "Scorer | None" = None,
) -> SearchReport:
    """Search on the validation items, starting from every criterion's plan, and compare with the criteria on the test
    items. What was finished before a stop is not scored again.

    Args:
        n_drop: layers to drop; as for every criterion, the first and the last are protected.
        runs: takes the test runs: of the plan found (criterion "search:<domain>"), of the criteria and the full model.
        trials: takes the validation runs, apart from the others: plans by the hundred that no chart should count.
        max_plans: distinct plans to try, those of the criteria included.
    Raises:
        SampleError: validation and test share items.
        PlanError: an impossible budget, a max_plans that the criteria alone exceed, or a stop.
    """
    started = time.monotonic()
    (validation_items, validation_samples), (test_items, _) = validation, test
    shared = {i.item_id for i in validation_items.items} & {i.item_id for i in test_items.items}
    if shared:
        raise SampleError(f"validation and test share {len(shared)} items: a plan would be reported on what chose it")
    criteria = [p for p in sweep_plans(atlas, [c.name for c in list_criteria()], [n_drop], 0) if p.criterion != FULL]
    starts = list(dict.fromkeys(p.dropped for p in criteria))
    if max_plans < len(starts):
        raise PlanError(f"the criteria alone are {len(starts)} plans at this budget: give at least so many")
    protected = protected_layers(atlas.n_layers, atlas.structural)
    free = [i for i in range(atlas.n_layers) if i not in protected]
    possible = math.comb(len(free), n_drop)
    name = f"search:{test_items.domain}"
    measured: dict[Layers, RunRecord] = {}

    def score(plans: list[Layers]) -> list[float]:
        size = len(validation_samples)  # one piece, so that a round is one call of the forest

        def report(done: int, _of: int, _what: str) -> None:
            if progress is not None:
                progress(len(measured) * size + done, min(max_plans, possible) * size, "searching")

        found = run_sweep(
            vlm,
            atlas,
            [PruningPlan(atlas.model_id, atlas.n_layers, p, name) for p in plans],
            [validation],
            trials,
            chunk=size,
            progress=report,
            should_stop=should_stop,
            scorer=scorer,
        )
        if found.stopped:
            raise PlanError(f"search stopped after {len(measured)} plans, which are kept: run it again to go on")
        measured.update({r.plan.dropped: r for r in found.records})
        return [mean_loss(measured[p]) for p in plans]

    tried = local_search(score, free, n_drop, starts, max_plans, seed)
    best = min(tried, key=lambda p: (tried[p], p))
    plan = PruningPlan(atlas.model_id, atlas.n_layers, best, name)
    full = PruningPlan(atlas.model_id, atlas.n_layers, (), FULL)
    final = run_sweep(
        vlm, atlas, [full, *criteria, plan], [test], runs, progress=progress, should_stop=should_stop, scorer=scorer
    )
    if final.stopped:
        raise PlanError("search stopped at its test, what is scored is kept: run it again to go on")
    record = {r.plan.criterion: r for r in final.records}
    rivals = {
        "validation": min(criteria, key=lambda p: tried[p.dropped]),
        "test": max(criteria, key=lambda p: record[p.criterion].score),
    }
    return SearchReport(
        plan=plan,
        seed=seed,
        tried=len(tried),
        possible=possible,
        validation=validation_items,
        validation_nll=tried[best],
        validation_score=measured[best].score,
        test=test_items,
        score=record[name].score,
        full_score=record[FULL].score,
        rivals=tuple(
            _compared(record[name], record[p.criterion], split, tried[p.dropped]) for split, p in rivals.items()
        ),
        seconds=time.monotonic() - started,
    )


def mean_loss(record: RunRecord) -> float:
    """Mean gold NLL over the items; infinite where the pruned model overflows. Rounded as it is stored, so that a
    continued search takes the same turns."""
    loss = float(np.mean([math.nan if v is None else round(v, 4) for v in record.gold_nll]))
    return math.inf if math.isnan(loss) else loss


def _compared(found: RunRecord, rival: RunRecord, split: str, validation_nll: float) -> Rival:
    a, b = np.array(found.correct, bool), np.array(rival.correct, bool)
    p_value = mcnemar_exact(int((a & ~b).sum()), int((b & ~a).sum()))
    return Rival(rival.plan, split, validation_nll, rival.score, paired_bootstrap(a, b), p_value)


def _finite(value: float) -> float | None:
    """JSON has no infinity."""
    return round(value, 6) if math.isfinite(value) else None
