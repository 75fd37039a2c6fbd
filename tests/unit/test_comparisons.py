"""Paired comparisons of criteria, on outcomes worked out by hand."""

import pandas as pd
import pytest

from core.analysis.comparisons import pairwise
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
