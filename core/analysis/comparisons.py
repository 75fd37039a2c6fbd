"""Paired comparisons of plans on the same items: which is better, by how much, and whether that can be told.

Tables in, tables out; differences are of scores (0.05 = 5 points): the mean over benchmarks, each weighing the same,
with intervals and tests stratified by benchmark.
"""

import itertools
from collections.abc import Iterable

import numpy as np
import pandas as pd

from core.analysis.statistics import (
    disagreements,
    effective_n,
    holm,
    paired_bootstrap,
    paired_test,
    smallest_detectable_difference,
)

FULL = "full"  # how the unpruned model is named
COMPARED = ["a", "b", "n", "score_a", "score_b", "difference", "low", "high", "a_only", "b_only", "p", "visible"]


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

    Of several benchmarks, items count that both plans answered, and the test is `paired_test`.

    Returns:
        Columns a, b, n (shared items), score_a, score_b, difference (a - b) with its 95 % interval low, high, a_only,
        b_only (items that only one gets right), p, visible (the smallest difference that these items could show, given
        on how many of them the two disagree), and p_holm, adjusted over all pairs of the table.
    """
    answers = plan_answers(outcomes, criteria, n_drop, domain)
    rows = [compared(a, x, b, y) for (a, x), (b, y) in itertools.combinations(answers.items(), 2)]
    table = pd.DataFrame([r for r in rows if r["n"]], columns=COMPARED)
    return table.assign(p_holm=holm(table.p.to_numpy(float))).sort_values("p", ignore_index=True)


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
    strata = shared.get_level_values("benchmark") if "benchmark" in shared.names else np.zeros(len(shared))
    cells = disagreements(left, right, strata)
    gap = paired_bootstrap(left, right, strata)
    scores = (float(pd.Series(v).groupby(np.asarray(strata)).mean().mean()) for v in (left, right))
    only = (sum(c[0] for c in cells), sum(c[1] for c in cells))
    differ = float(np.mean([(a_only + b_only) / n for a_only, b_only, n in cells])) if cells else np.nan
    visible = smallest_detectable_difference(effective_n([n for *_, n in cells]), differ)
    values = (a, b, len(shared), *scores, gap.value, gap.low, gap.high, *only, paired_test(cells), visible)
    return dict(zip(COMPARED, values, strict=True))
