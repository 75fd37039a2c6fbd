"""Regimes: whether, at a budget, it matters which layers go, how they are arranged, or neither.

Decided from measured runs at each budget, never from the budget alone, in this order:

1. `converged`: the plans' scores sit at the floor, where no method is left to compare.
2. `ranking-sensitive` or `structure-dominated`: over the random ensemble, the rank effect or the structure effect has
   an interval that excludes 0, and is the larger of the two.
3. `ranking-sensitive`: the domain-aware plans beat the ensemble's median with their paired interval clear of 0, and are
   in the ensemble's best tenth (without the second half, any fixed plan would pass half of the time).
4. `converged`: the spread between criteria has an interval that includes 0 and is narrow enough to mean it.
5. Else `undetermined`: the data cannot say.

Structure comes before the comparison with the median because plans with short runs beat the median for their structure.
The paper is arXiv:2603.20275; the tests are ours (core/analysis/effects.py), and tests/unit/test_regimes.py keeps them
calibrated on simulated sweeps.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from core.analysis.effects import Draws, advantage, rank_and_structure, spread
from core.analysis.statistics import LEVEL, Interval, smallest_detectable_difference
from core.errors import StoreError
from core.pruning.criteria import list_criteria
from core.runs.records import ItemSet

RANKING, CONVERGED, STRUCTURE, UNDETERMINED = LABELS = (
    "ranking-sensitive",
    "converged",
    "structure-dominated",
    "undetermined",
)
ENSEMBLE = "random"
NOT_CRITERIA = {ENSEMBLE, "manual", "full"}
BEST_SHARE = 0.1  # the domain-aware plans must be in this best share of the ensemble
NARROW = 0.1  # a spread whose interval reaches further than this is not called converged
AT_FLOOR = 0.05  # scores this close to the floor sit on it
N_TESTS = 3  # rank, structure and comparison with the median share one budget's error rate (Bonferroni)
N_BOOTSTRAP = 1000


@dataclass(frozen=True)
class BudgetRegime:
    """One budget: its label, and the figures that it was decided from (JSON; an interval is value, low, high)."""

    n_drop: int
    label: str
    evidence: dict[str, Any] = field(repr=False)


@dataclass(frozen=True)
class Boundary:
    """Where a regime ends or begins: between budgets `after` and the next measured one, with an interval of budgets."""

    regime: str
    edge: str  # ends | begins
    after: int
    low: int
    high: int


@dataclass(frozen=True)
class RegimeMap:
    budgets: tuple[BudgetRegime, ...]
    boundaries: tuple[Boundary, ...] = ()
    level: float = LEVEL

    def label_at(self, n_drop: int) -> str:
        """The regime at a budget; `undetermined` where nothing was measured."""
        found = self.at(n_drop)
        return found.label if found else UNDETERMINED

    def at(self, n_drop: int) -> BudgetRegime | None:
        return next((b for b in self.budgets if b.n_drop == n_drop), None)

    def explain(self, n_drop: int) -> str:
        """One paragraph: the label of a budget and the figures behind it."""
        found = self.at(n_drop)
        if found is None:
            return f"No plan that drops {n_drop} layers was measured, so its regime is undetermined: sweep this budget."
        return _explanation(found, self.level)

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "RegimeMap":
        budgets = tuple(BudgetRegime(**b) for b in data["budgets"])
        return cls(budgets, tuple(Boundary(**b) for b in data["boundaries"]), float(data["level"]))


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
            similarity_dropped, item_id, correct. Rows of the criterion "random" are the ensemble.
        domain_aware: criteria that rank by a domain's similarity; those of the group "domain-aware" by default.
        floor: score of a model that knows nothing of the picture (`chance_score`).
    Raises:
        StoreError: a column is missing, or the table mixes domains.
    """
    columns = ("plan_id", "criterion", "n_drop", "longest_run", "similarity_dropped", "item_id", "correct")
    if missing := [c for c in columns if c not in outcomes]:
        raise StoreError(f"the outcomes lack the columns {', '.join(missing)}")
    if "domain" in outcomes and outcomes.domain.nunique() > 1:
        raise StoreError("the outcomes mix domains, which differ in similarity: pass one domain at a time")
    if domain_aware is None:
        domain_aware = {c.name for c in list_criteria() if c.group == "domain-aware"}
    budgets = outcomes.n_drop.to_numpy(np.int64)
    tests = [
        _test_budget(_table(outcomes[budgets == k]), int(k), set(domain_aware), floor, level, n_boot, seed)
        for k in np.unique(budgets[budgets > 0])
    ]
    found = tuple(t.regime for t in tests)
    return RegimeMap(found, tuple(_boundaries(tests, level)), level)


def chance_score(items: ItemSet) -> float:
    """Score of giving each task's most common answer, whatever the picture: the floor of a benchmark."""
    answers: defaultdict[str, Counter[str]] = defaultdict(Counter)
    for item in items.items:
        answers[item.task][item.answer] += 1
    return sum(max(c.values()) for c in answers.values()) / max(len(items.items), 1)


# ------------------------------------------------------------------------------------------------ one budget


@dataclass(frozen=True)
class _Table:
    """The plans and items of one budget, complete: every plan that is left has every item that is left."""

    correct: NDArray[np.bool_]  # (P, I), distinct plans
    criteria: list[set[str]]  # of each plan
    similarity: NDArray[np.float64]
    longest_run: NDArray[np.float64]

    def rows(self, names: Iterable[str]) -> NDArray[np.intp]:
        wanted = set(names)
        return np.array([i for i, c in enumerate(self.criteria) if c & wanted], dtype=np.intp)


@dataclass(frozen=True)
class _Test:
    regime: BudgetRegime
    leads: dict[str, NDArray[np.bool_]]  # label -> (B,) whether its effect still stands in each resample


def _table(rows: pd.DataFrame) -> _Table:
    plans, plan_ids = pd.factorize(rows.plan_id, sort=True)
    items, item_ids = pd.factorize(rows.item_id, sort=True)
    grid = np.full((len(plan_ids), len(item_ids)), -1, np.int8)
    grid[plans, items] = rows.correct.to_numpy(bool)
    # A run that was stopped early would cut the items down for all others: leave out what has less than half of them.
    counts = (grid >= 0).sum(1)
    kept = np.flatnonzero(counts * 2 >= counts.max())
    shared = (grid[kept] >= 0).all(0)
    named = rows.drop_duplicates(["plan_id", "criterion"]).groupby("plan_id").criterion.agg(set)
    # One plan may have been measured under two calibrations: its similarity is their mean.
    figures = rows.groupby("plan_id")[["similarity_dropped", "longest_run"]].mean().loc[plan_ids[kept]]
    return _Table(
        grid[np.ix_(kept, np.flatnonzero(shared))] == 1,
        named.loc[plan_ids[kept]].tolist(),
        figures.similarity_dropped.to_numpy(np.float64),
        figures.longest_run.to_numpy(np.float64),
    )


def _test_budget(
    table: _Table, n_drop: int, domain_aware: set[str], floor: float, level: float, n_boot: int, seed: int
) -> _Test:
    scores = table.correct.mean(1) if table.correct.size else np.full(len(table.correct), math.nan)
    n_items = table.correct.shape[1]
    ensemble = table.rows({ENSEMBLE})
    criteria = set().union(*table.criteria) - NOT_CRITERIA
    aware, rivals = table.rows(criteria & domain_aware), table.rows(criteria)
    known = ensemble[~np.isnan(table.similarity[ensemble])]  # imported plans may lack a similarity
    rank, structure = rank_and_structure(
        table.correct[known], table.similarity[known], table.longest_run[known], n_boot, seed
    )
    gain, as_good = advantage(table.correct[aware], table.correct[ensemble], n_boot, seed)
    between = spread(table.correct[rivals], level)
    at_floor = bool(n_items and np.quantile(scores, 0.95) <= floor + AT_FLOOR)
    each = 1 - (1 - level) / N_TESTS
    rank_interval, structure_interval, gain_interval = (d.interval(each, 1.0) for d in (rank, structure, gain))

    strength, other = (0.0 if math.isnan(d.value) else abs(d.value) for d in (rank, structure))
    ranks = rank_interval.excludes() and strength >= other
    structured = structure_interval.excludes() and other > strength
    gains = gain_interval.low > 0 and as_good <= BEST_SHARE
    if at_floor:
        label = CONVERGED
    elif ranks or (gains and not structured):
        label = RANKING
    elif structured:
        label = STRUCTURE
    elif between.low <= 0 and between.high <= NARROW:
        label = CONVERGED
    else:
        label = UNDETERMINED

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
        "rank_effect": rank_interval.to_dict(),
        "structure_effect": structure_interval.to_dict(),
        "rank_leads": _number(_share(np.abs(rank.draws) >= np.abs(structure.draws), rank, structure)),
        "advantage": gain_interval.to_dict(),
        "random_as_good": _number(as_good),
        "spread": between.to_dict(),
        "detectable": _number(smallest_detectable_difference(n_items, _within(float(np.median(scores))))),
    }
    leads = {
        RANKING: _stands(rank, rank_interval, structure) | (_clear(gain, gain_interval) & gains & (not structured)),
        STRUCTURE: _stands(structure, structure_interval, rank),
    }
    if at_floor:
        leads = {name: np.zeros(n_boot, bool) for name in leads}
    return _Test(BudgetRegime(n_drop, label, evidence), leads)


def _clear(effect: Draws, interval: Interval) -> NDArray[np.bool_]:
    """Whether each resampled effect would be clear of 0, given the width of its interval."""
    return np.abs(np.nan_to_num(effect.draws)) > (interval.high - interval.low) / 2


def _stands(effect: Draws, interval: Interval, other: Draws) -> NDArray[np.bool_]:
    larger = np.abs(np.nan_to_num(effect.draws)) > np.abs(np.nan_to_num(other.draws))
    return np.asarray(_clear(effect, interval) & larger)


def _share(leads: NDArray[np.bool_], *effects: Draws) -> float:
    return math.nan if any(math.isnan(e.value) for e in effects) else float(leads.mean())


def _number(value: float) -> float | None:
    return round(float(value), 6) if math.isfinite(value) else None


def _within(score: float) -> float:
    return 0.5 if math.isnan(score) else score


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


# ------------------------------------------------------------------------------------------------ in words


def _explanation(budget: BudgetRegime, level: float) -> str:
    e = budget.evidence
    if not e["n_items"]:
        return f"The plans that drop {budget.n_drop} layers share no scored item: finish the sweep of this budget."
    text = [
        f"At {budget.n_drop} dropped layers the regime is {budget.label}.",
        f"{e['n_random']} random plans and {e['n_criteria']} criteria answered the same {e['n_items']} items, "
        f"scoring from {e['score_low']:.1%} to {e['score_high']:.1%}.",
    ]
    if e["at_floor"]:
        text.append(f"Nearly all of them sit at the floor of {e['floor']:.1%}, so no method is left to compare.")
    rank, structure = _words(e["rank_effect"]), _words(e["structure_effect"])
    if rank or structure:
        text.append(
            f"Over the random plans the score goes with the similarity of the dropped layers by "
            f"{rank or 'nothing that can be told'}, and with the longest run of dropped layers by "
            f"{structure or 'nothing that can be told'} "
            f"(partial Spearman; the intervals of one budget hold together at {level:.0%})."
        )
    else:
        text.append("The random plans are too few, or too alike, to tell a rank effect from a structure effect.")
    if gain := _words(e["advantage"], points=True):
        text.append(
            f"The domain-aware plans differ from the random median by {gain} points; "
            f"{e['random_as_good']:.0%} of random plans do as well."
        )
    if between := _words(e["spread"], points=True):
        text.append(f"Between criteria the scores spread by {between} points beyond sampling noise.")
    if budget.label == UNDETERMINED and e["detectable"] is not None:
        text.append(
            f"With this many items a difference below {100 * e['detectable']:.0f} points goes unseen: "
            "more items or more random plans would decide."
        )
    return " ".join(text)


def _words(data: dict[str, float | None], points: bool = False) -> str:
    i = Interval.from_dict(data)
    if math.isnan(i.value):
        return ""
    if points:
        return f"{100 * i.value:.1f} ({100 * i.low:.1f} to {100 * i.high:.1f})"
    return f"{i.value:+.2f} ({i.low:+.2f} to {i.high:+.2f})"
