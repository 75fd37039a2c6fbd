"""Paired comparisons of criteria, on outcomes worked out by hand."""

import pandas as pd
import pytest

from core.analysis.comparisons import matching_criterion, pairwise
from core.analysis.statistics import mcnemar_exact

N = 40


def outcomes(right: dict[tuple[str, str, int], int], domain: str = "math") -> pd.DataFrame:
    """(criterion, plan, budget) -> how many of the 40 items it gets right, always the first ones."""
    rows = [
        (plan, criterion, n_drop, domain, f"i{i}", i < n)
        for (criterion, plan, n_drop), n in right.items()
        for i in range(N)
    ]
    return pd.DataFrame(rows, columns=["plan_id", "criterion", "n_drop", "domain", "item_id", "correct"])


SWEEP = {
    ("full", "p0", 0): 40,
    ("math_aware", "pm", 1): 36,
    ("spaced:math_aware", "pm", 1): 36,
    ("uniform", "pu", 1): 20,
    ("mixed", "pu", 1): 20,
    ("deepest", "pd", 1): 37,
    ("random", "r1", 1): 10,
    ("random", "r2", 1): 24,
    ("random", "r3", 1): 26,
    ("random", "r4", 1): 39,
    ("math_aware", "pm4", 2): 9,
    ("uniform", "pu4", 2): 8,
    ("math_aware", "pm5", 3): 5,
}


def test_pairs_by_hand() -> None:
    """Full against uniform: 20 items only the full model gets right, so p = 2 / 2^20."""
    table = pairwise(outcomes(SWEEP), ["full", "uniform", "deepest", "block"], 1, "math")
    assert len(table) == 3  # block was not measured
    first = table.iloc[0]
    assert (first.a, first.b, first.n, first.a_only, first.b_only) == ("full", "uniform", 40, 20, 0)
    assert (first.score_a, first.score_b, first.difference) == (1.0, 0.5, 0.5)
    assert first.low == pytest.approx(0.35, abs=0.05) and first.high == pytest.approx(0.65, abs=0.05)
    assert first.p == pytest.approx(2 / 2**20)
    assert first.p_holm == pytest.approx(3 * first.p)
    last = table.iloc[2]
    assert (last.a, last.b, last.p) == ("full", "deepest", mcnemar_exact(3, 0))
    assert pairwise(outcomes(SWEEP), ["full", "uniform"], 1, "general").empty


def test_items_that_only_one_plan_answered_do_not_count() -> None:
    table = outcomes({("a", "pa", 1): 30, ("b", "pb", 1): 20})
    half = table[(table.criterion == "a") | table.item_id.isin([f"i{i}" for i in range(25)])]
    row = pairwise(half, ["a", "b"], 1, "math").iloc[0]
    assert (row.n, row.a_only, row.difference) == (25, 5, 0.2)


def test_a_criterion_that_chose_two_plans_is_compared_by_one_of_them() -> None:
    """After another calibration: the plan with more outcomes, and never a mixture of both."""
    table = outcomes({("a", "old", 1): 40, ("a", "new", 1): 10, ("b", "pb", 1): 20})
    stopped = table[(table.plan_id != "old") | table.item_id.isin([f"i{i}" for i in range(25)])]
    row = pairwise(stopped, ["a", "b"], 1, "math").iloc[0]
    assert (row.n, row.score_a, row.score_b) == (40, 0.25, 0.5)


def test_items_of_two_benchmarks_may_have_the_same_id() -> None:
    both = [
        outcomes({("a", "pa", 1): a, ("b", "pb", 1): b}).assign(benchmark=n)
        for n, a, b in (("x", 40, 20), ("y", 10, 0))
    ]
    row = pairwise(pd.concat(both), ["a", "b"], 1, "math").iloc[0]
    assert (row.n, row.score_a, row.score_b, row.a_only) == (80, 50 / 80, 20 / 80, 30)


def test_each_domain_has_its_criterion() -> None:
    names = [matching_criterion(d) for d in ("math", "general", "charts")]
    assert names == ["math_aware", "non_math_aware", "domain:charts"]
