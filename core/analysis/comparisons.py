"""Paired comparisons of plans on the same items: which is better, by how much, and whether that can be told.

Tables in, tables out; differences are of scores (0.05 = 5 points).
"""

import itertools
from collections.abc import Collection, Iterable

import numpy as np
import pandas as pd

from core.analysis.regime_map import low_budgets
from core.analysis.statistics import holm, mcnemar_exact, paired_bootstrap

FULL = "full"  # how the unpruned model is named
MEDIAN_RANDOM = "random (median)"
COMPARED = ["a", "b", "n", "score_a", "score_b", "difference", "low", "high", "a_only", "b_only", "p"]


def matching_criterion(domain: str) -> str:
    """The criterion that ranks by a domain's own similarity."""
    return {"math": "math_aware", "general": "non_math_aware"}.get(domain, f"domain:{domain}")


def plan_answers(outcomes: pd.DataFrame, criteria: Iterable[str], n_drop: int, domain: str) -> dict[str, pd.DataFrame]:
    """The rows of each criterion's plan at a budget, by item; `FULL` is the unpruned model.

    Of a criterion that chose several plans (calibrated again), the one with the most outcomes counts, or the first.

    Args:
        outcomes: as `outcomes_frame` makes it.
    """
    rows = outcomes[outcomes.n_drop.isin([0, n_drop])]
    rows = rows[rows.domain == domain]
    full, pruned = rows[rows.n_drop == 0], rows[rows.n_drop > 0]
    chosen = {c: full if c == FULL else pruned[pruned.criterion == c] for c in dict.fromkeys(criteria)}
    return {c: _by_item(r[r.plan_id == _largest_plan(r)]) for c, r in chosen.items() if len(r)}


def pairwise(outcomes: pd.DataFrame, criteria: Iterable[str], n_drop: int, domain: str) -> pd.DataFrame:
    """Each pair of criteria at one budget: paired bootstrap interval and exact McNemar test, the surest first.

    Returns:
        Columns a, b, n (shared items), score_a, score_b, difference (a - b) with its 95 % interval low, high, a_only,
        b_only (items that only one gets right), p, and p_holm, adjusted over all pairs of the table.
    """
    answers = plan_answers(outcomes, criteria, n_drop, domain)
    rows = [compared(a, x, b, y) for (a, x), (b, y) in itertools.combinations(answers.items(), 2)]
    table = pd.DataFrame([r for r in rows if r["n"]], columns=COMPARED)
    return table.assign(p_holm=holm(table.p.to_numpy(float))).sort_values("p", ignore_index=True)


def domain_aware_comparisons(
    outcomes: pd.DataFrame, domain: str, budgets: Collection[int] | None = None
) -> pd.DataFrame:
    """The domain's own criterion against every other criterion, and against the median random plan.

    Args:
        outcomes: as `outcomes_frame` makes it.
        budgets: the low ones of those measured by default (`low_budgets`).
    Returns:
        The columns of `pairwise`, n_drop, plan_b, and same_plan: whether both chose the same layers, where there is
        nothing to test. p_holm is adjusted over the other plans of the table; criteria that chose the same one share a
        test.
    """
    rows = outcomes[(outcomes.domain == domain) & (outcomes.n_drop > 0)]
    own = matching_criterion(domain)
    found = []
    for n_drop in low_budgets(rows.n_drop.unique()) if budgets is None else sorted(budgets):
        here = rows[rows.n_drop == n_drop]
        answers = plan_answers(here, here.criterion.unique(), n_drop, domain)
        if (mine := answers.pop(own, None)) is None:
            continue
        if answers.pop("random", None) is not None:
            answers[MEDIAN_RANDOM] = median_plan(here[here.criterion == "random"])
        for name, other in answers.items():
            row = compared(own, mine, name, other)
            plan_a, plan_b = mine.plan_id.iloc[0], other.plan_id.iloc[0]
            found += [{"n_drop": n_drop, **row, "plan_b": plan_b, "same_plan": plan_a == plan_b}] if row["n"] else []
    table = pd.DataFrame(found, columns=["n_drop", *COMPARED, "plan_b", "same_plan"])
    tests = table[~table.same_plan.astype(bool)].drop_duplicates(["n_drop", "plan_b"])
    adjusted = dict(zip(zip(tests.n_drop, tests.plan_b, strict=True), holm(tests.p.to_numpy(float)), strict=True))
    return table.assign(p_holm=[adjusted.get(k, 1.0) for k in zip(table.n_drop, table.plan_b, strict=True)])


def median_plan(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows, by item, of the plan with the median score (of two middle ones the lower)."""
    scores = rows.groupby("plan_id").correct.mean().reset_index().sort_values(["correct", "plan_id"])
    chosen: pd.DataFrame = rows[rows.plan_id == scores.plan_id.iloc[(len(scores) - 1) // 2]]
    return _by_item(chosen)


def _largest_plan(rows: pd.DataFrame) -> str:
    return str(rows.plan_id.value_counts(sort=False).idxmax())


def _by_item(rows: pd.DataFrame) -> pd.DataFrame:
    """Items of two benchmarks may have the same id."""
    keys = [k for k in ("benchmark", "item_id") if k in rows]
    return rows.drop_duplicates(keys).set_index(keys)


def compared(a: str, x: pd.DataFrame, b: str, y: pd.DataFrame) -> dict[str, object]:
    """One row of `COMPARED`: plans named a and b with their rows by item; n is 0 where they share none."""
    shared = x.index.intersection(y.index)
    left, right = x.correct[shared].to_numpy(bool), y.correct[shared].to_numpy(bool)
    only = int((left & ~right).sum()), int((right & ~left).sum())
    gap = paired_bootstrap(left, right)
    scores = (float(v.mean()) if len(shared) else np.nan for v in (left, right))
    values = (a, b, len(shared), *scores, gap.value, gap.low, gap.high, *only, mcnemar_exact(*only))
    return dict(zip(COMPARED, values, strict=True))
