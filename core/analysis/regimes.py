"""Regimes: whether, at a budget, it matters which layers go, how they are arranged, or neither.

Decided from measured runs at each budget, never from the budget alone, in this order:

1. `converged`: the plans' scores sit at the floor, where no method is left to compare.
2. `ranking-sensitive` or `structure-dominated`: over the random ensemble, the rank effect or the structure effect has
   an interval that excludes 0, and is the larger of the two.
3. `ranking-sensitive`: the domain-aware plans beat the ensemble's median with their paired interval clear of 0, and are
   in the ensemble's best twentieth.
4. `converged`: the spread between criteria has an interval that includes 0 and is narrow enough to mean it.
5. Else `undetermined`: the data cannot say.

Where this departs from the first design, and why (each was tried on simulated sweeps, tests/calibration.py):

- Plans *and* items are resampled. Plans alone took accidents of the items for effects in a third of flat sweeps.
- Beating the median is not enough: any fixed plan does so half of the time. Hence the best twentieth; and hence
  structure comes first, since plans with short runs beat the median for their structure.
- An interval of the spread that includes 0 may only be wide. Hence "narrow enough".
- The three tests share one error rate (Bonferroni), so that 95 % means a budget, not a test.

"No effect" means none over all plans of *this* model: if its layers happen to matter in the order of their similarity,
that is a rank effect, whatever the reason. The paper is arXiv:2603.20275; the tests (effects.py) are ours.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.analysis.comparisons import matching_criterion
from core.analysis.effects import (
    Draws,
    advantage,
    disagreement,
    plan_scores,
    rank_and_structure,
    resampled_scores,
    spread,
)
from core.analysis.regime_map import CONVERGED, RANKING, STRUCTURE, UNDETERMINED, Boundary, BudgetRegime, RegimeMap
from core.analysis.statistics import LEVEL, Interval, effective_n, smallest_detectable_difference
from core.errors import StoreError
from core.pruning.criteria import list_criteria
from core.records.items import ItemSet

ENSEMBLE = "random"
BEST_SHARE = 0.05  # the domain-aware plans must be in this best share of the ensemble
NARROW = 0.1  # a spread whose interval reaches further than this is not called converged
AT_FLOOR = 0.05  # scores this close to the floor sit on it
FEW_ITEMS = 20  # of a task, too few to say how common its answers are
N_TESTS = 3  # rank, structure and comparison with the median share one budget's error rate (Bonferroni)
N_BOOTSTRAP = 1000


def detect_regimes(
    outcomes: pd.DataFrame,
    *,
    domain_aware: Collection[str] | None = None,
    floor: float = 0.0,
    level: float = LEVEL,
    n_boot: int = N_BOOTSTRAP,
    seed: int = 0,
) -> RegimeMap:
    """Decide the regime of every budget that was measured.

    Args:
        outcomes: one row per plan and item of one domain, with columns plan_id, criterion, n_drop, longest_run,
            similarity_dropped, item_id, correct, and optionally domain and benchmark: a score is then the mean over
            benchmarks, and items are resampled within each. Rows of the criterion "random" are the ensemble; plans
            that are no criterion's (`is_evidence`) do not count.
        domain_aware: criteria that rank by a domain's similarity; those of the group "domain-aware" and the
            "domain:<name>" ones by default.
        floor: score of a model that knows nothing of the picture (`chance_score`; the mean over benchmarks).
    Raises:
        StoreError: a column is missing, or the table mixes domains.
    """
    columns = ("plan_id", "criterion", "n_drop", "longest_run", "similarity_dropped", "item_id", "correct")
    if missing := [c for c in columns if c not in outcomes]:
        raise StoreError(f"the outcomes lack the columns {', '.join(missing)}")
    if "domain" in outcomes and outcomes.domain.nunique() > 1:
        raise StoreError("the outcomes mix domains, which differ in similarity: pass one domain at a time")
    criteria = outcomes.criterion.unique()
    if domain_aware is None:
        known = {c.name for c in list_criteria() if c.group == "domain-aware"}
        domain_aware = {c for c in criteria if c in known or c.startswith("domain:")}
    own = {matching_criterion(d) for d in outcomes.domain.unique()} if "domain" in outcomes else set()
    counted = outcomes.criterion.isin([c for c in criteria if is_evidence(c)]) & (outcomes.n_drop > 0)
    table = outcomes.loc[counted, list(columns)]
    for name in ("plan_id", "item_id", "criterion"):  # text to numbers once: at every budget it outlasts the tests
        table[name] = table[name].astype("category")
    table["benchmark"] = outcomes.benchmark[counted].astype("category").cat.codes if "benchmark" in outcomes else 0
    if table.benchmark.nunique() > 1:
        # Plans are compared on items that all have: a benchmark that few have come to would leave but these few.
        plans = table.plan_id.cat.codes.groupby([table.n_drop, table.benchmark]).transform("nunique")
        table = table[plans * 2 >= plans.groupby(table.n_drop).transform("max")]
    tests = [
        _test_budget(_table(table[table.n_drop == k]), k, set(domain_aware), own, floor, level, n_boot, seed)
        for k in sorted(set(table.n_drop.tolist()))
    ]
    return RegimeMap(tuple(t.regime for t in tests), tuple(_boundaries(tests, level)), level)


def is_evidence(criterion: str) -> bool:
    """Whether a criterion's plans count: not those made by hand, and not those of a search.

    A search has seen items of the benchmark's own kind, so that its plans say what can be reached, not what a rule that
    only knows similarities would choose.
    """
    return criterion not in ("full", "manual") and criterion.split(":")[0] != "search"


def chance_score(items: ItemSet) -> float:
    """Score of giving each task's most common answer, whatever the picture: the floor of a benchmark.

    Tasks of a few items (MMMU has thirty subjects) count as one: of seven letters the commonest is there three times
    by chance.
    """
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    sizes = Counter(item.task for item in items.items)
    for item in items.items:
        answers[item.task if sizes[item.task] >= FEW_ITEMS else ""][item.answer] += 1
    return sum(max(c.values()) for c in answers.values()) / max(len(items.items), 1)


# ------------------------------------------------------------------------------------------------ one budget


@dataclass(frozen=True)
class _Table:
    """The plans and items of one budget, complete: every plan that is left has every item that is left."""

    correct: list[NDArray[np.bool_]]  # of each benchmark (P, I), distinct plans
    criteria: list[set[str]]  # of each plan
    similarity: NDArray[np.float64]
    longest_run: NDArray[np.float64]

    def rows(self, names: Iterable[str]) -> NDArray[np.intp]:
        wanted = set(names)
        return np.array([i for i, c in enumerate(self.criteria) if c & wanted], dtype=np.intp)

    def of(self, plans: NDArray[np.intp]) -> list[NDArray[np.bool_]]:
        return [x[plans] for x in self.correct]


@dataclass(frozen=True)
class _Test:
    regime: BudgetRegime
    leads: dict[str, NDArray[np.bool_]]  # label -> (B,) whether its effect still stands in each resample


def _table(rows: pd.DataFrame) -> _Table:
    plans, plan_ids = pd.factorize(rows.plan_id.cat.codes, sort=True)
    grids = []
    for benchmark in sorted(set(rows.benchmark.tolist())):
        here = (rows.benchmark == benchmark).to_numpy()
        items, item_ids = pd.factorize(rows.item_id.cat.codes[here], sort=True)
        grid = np.full((len(plan_ids), len(item_ids)), -1, np.int8)
        grid[plans[here], items] = rows.correct[here].to_numpy(bool)
        grids.append(grid)
    # A run that was stopped early would cut the items down for all others: leave out what has less than half of them.
    counts = [(grid >= 0).sum(1) for grid in grids]
    kept = np.flatnonzero(np.all([c * 2 >= c.max() for c in counts], axis=0))
    correct = [grid[np.ix_(kept, np.flatnonzero((grid[kept] >= 0).all(0)))] == 1 for grid in grids]
    names = rows.criterion.cat.categories
    criteria: list[set[str]] = [set() for _ in plan_ids]
    for pair in np.unique(plans * len(names) + rows.criterion.cat.codes.to_numpy()):
        criteria[pair // len(names)].add(names[pair % len(names)])
    # One plan may have been measured under two calibrations: its similarity is their mean.
    figures = rows.groupby(plans)[["similarity_dropped", "longest_run"]].mean().iloc[kept]
    return _Table(
        correct,
        [criteria[plan] for plan in kept],
        figures.similarity_dropped.to_numpy(np.float64),
        figures.longest_run.to_numpy(np.float64),
    )


def _test_budget(
    table: _Table,
    n_drop: int,
    domain_aware: set[str],
    own: set[str],
    floor: float,
    level: float,
    n_boot: int,
    seed: int,
) -> _Test:
    sizes = [x.shape[1] for x in table.correct]
    n_items, scored = sum(sizes), all(sizes)
    scores = plan_scores(table.correct)
    ensemble = table.rows({ENSEMBLE})
    criteria = set().union(*table.criteria) - {ENSEMBLE}
    aware, rivals = table.rows(criteria & domain_aware), table.rows(criteria)
    resampled = resampled_scores(table.correct, n_boot, seed)
    known = ensemble[~np.isnan(table.similarity[ensemble])]  # imported plans may lack a similarity
    rank, structure = rank_and_structure(
        scores[known], resampled[:, known], table.similarity[known], table.longest_run[known], seed
    )
    gain, as_good = advantage(scores, resampled, aware, ensemble)
    own_gain, _ = advantage(scores, resampled, table.rows(own), ensemble)
    between = spread(table.of(rivals), level)
    at_floor = bool(scored and np.quantile(scores, 0.95) <= floor + AT_FLOOR)
    rank_interval, structure_interval, gain_interval, own_interval = (
        d.interval(1 - (1 - level) / N_TESTS) for d in (rank, structure, gain, own_gain)
    )
    strength, other = (abs(d.value) if d.defined else 0.0 for d in (rank, structure))
    ranks = rank_interval.excludes() and strength >= other
    structured = structure_interval.excludes() and other > strength
    gains = gain_interval.low > 0 and as_good <= BEST_SHARE and not structured
    if at_floor:
        label = CONVERGED
    elif ranks or gains:
        label = RANKING
    elif structured:
        label = STRUCTURE
    elif between.low <= 0 and between.high <= NARROW:
        label = CONVERGED
    else:
        label = UNDETERMINED

    visible = smallest_detectable_difference(effective_n(sizes) if scored else 0, disagreement(table.correct))
    evidence = {
        "n_items": n_items,
        "n_random": len(ensemble),
        "n_criteria": len(criteria),
        "n_distinct_plans": len(rivals),
        "score_low": _number(scores.min(initial=math.inf)),
        "score_median": _number(np.median(scores)),
        "score_high": _number(scores.max(initial=-math.inf)),
        "floor": floor,
        "at_floor": at_floor,
        "rank_effect": _correlation(rank_interval).to_dict(),
        "structure_effect": _correlation(structure_interval).to_dict(),
        "rank_leads": _number(_share_led(rank, structure)),
        "advantage": gain_interval.to_dict(),
        "random_as_good": _number(as_good),
        "own_advantage": own_interval.to_dict(),
        "spread": between.to_dict(),
        "detectable": _number(visible),
    }
    leads = {
        RANKING: _stands(rank, rank_interval, structure) | (_clear(gain, gain_interval) & gains),
        STRUCTURE: _stands(structure, structure_interval, rank),
    }
    if at_floor:
        leads = {name: np.zeros(n_boot, bool) for name in leads}
    return _Test(BudgetRegime(n_drop, label, evidence), leads)


def _correlation(fisher: Interval) -> Interval:
    """Back from Fisher's scale."""
    return Interval(*(math.tanh(v) for v in (fisher.value, fisher.low, fisher.high)))


def _share_led(effect: Draws, other: Draws) -> float:
    """Share of resamples in which an effect is the larger one."""
    if not (effect.defined and other.defined):
        return math.nan
    return float((np.abs(effect.draws) >= np.abs(other.draws)).mean())


def _clear(effect: Draws, interval: Interval) -> NDArray[np.bool_]:
    """Whether each resampled effect would be clear of 0, given the width of its interval."""
    return np.abs(np.nan_to_num(effect.draws)) > (interval.high - interval.low) / 2


def _stands(effect: Draws, interval: Interval, other: Draws) -> NDArray[np.bool_]:
    larger = np.abs(np.nan_to_num(effect.draws)) > np.abs(np.nan_to_num(other.draws))
    return np.asarray(_clear(effect, interval) & larger)


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


# ------------------------------------------------------------------------------------------------ boundaries


def _boundaries(tests: list[_Test], level: float) -> Iterable[Boundary]:
    """Where ranking sensitivity ends and structure begins, each only if the map shows the regime on one side of it.

    A change point is the cut that puts most budgets on the right side; its interval comes from cutting the resampled
    effects the same way. It is left out where no cut beats "the same everywhere", or where fewer than half of the
    resamples have one.
    """
    budgets = [t.regime.n_drop for t in tests]
    for label, edge in ((RANKING, "ends"), (STRUCTURE, "begins")):
        before = edge == "ends"
        observed = np.array([t.regime.label == label for t in tests], bool)
        cut = _cut(observed, before)
        draws = np.array([t.leads[label] for t in tests]).T if tests else np.empty((0, 0), bool)  # (B, budgets)
        cuts = [c for c in (_cut(d, before) for d in draws) if c is not None]
        if cut is None or len(cuts) * 2 < len(draws):
            continue
        low, high = np.quantile(cuts, [(1 - level) / 2, (1 + level) / 2], method="nearest")
        yield Boundary(label, edge, *(budgets[c] for c in (cut, min(cut, int(low)), max(cut, int(high)))))


def _cut(present: NDArray[np.bool_], before: bool) -> int | None:
    """Index of the last budget before the change; None where no change explains the budgets better than none."""
    side = present if before else ~present
    if len(side) < 2:
        return None
    right = np.cumsum(side)[:-1] + np.cumsum(~side[::-1])[::-1][1:]  # budgets on the right side of each cut
    best = int(right.argmax())
    return best if right[best] > max(side.sum(), (~side).sum()) else None
