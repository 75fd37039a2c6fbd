"""Tables of scores, on numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from core.pruning import PruningPlan
from dashboard import results


def outcomes() -> pd.DataFrame:
    """Full model 3 of 4, plan a 2 of 4 (one lost), plan b 2 of 4 (two lost, one gained); random 1 and 3 of 4."""
    rows = []
    plans = {
        ("full", -1, 0, "p0"): "1110",
        ("a", -1, 2, "pa"): "1100",
        ("b", -1, 2, "pb"): "1001",
        ("c", -1, 2, "pa"): "1100",
        ("random", 0, 2, "r0"): "1000",
        ("random", 1, 2, "r1"): "1110",
    }
    for (criterion, seed, n_drop, plan_id), right in plans.items():
        for i, r in enumerate(right):
            rows.append((plan_id, criterion, seed, n_drop, n_drop, "math", f"i{i}", f"t{i % 2}", r == "1"))
    columns = ["plan_id", "criterion", "seed", "n_drop", "longest_run", "domain", "item_id", "task", "correct"]
    return pd.DataFrame(rows, columns=columns)


def test_scores_retention_and_full_model():
    table = results.score_table(outcomes())
    a = table[table.criterion == "a"].iloc[0]
    assert (a.n, a.n_correct, a.score) == (4, 2, 0.5)
    assert a.retention == pytest.approx(2 / 3)
    assert a.low == pytest.approx(0.15004, abs=1e-4)  # Wilson, 2 of 4
    assert results.full_score(table, "math") == 0.75
    assert np.isnan(results.full_score(table, "general"))


def test_scores_by_task_split_the_items():
    table = results.score_table(outcomes(), "task")
    a = table[table.criterion == "a"].set_index("group")
    assert a.n.to_dict() == {"t0": 2, "t1": 2}
    assert a.score.to_dict() == {"t0": 0.5, "t1": 0.5}


def test_envelope_is_over_the_random_plans_only():
    envelope = results.random_envelope(results.score_table(outcomes()), ["math"]).iloc[0]
    assert envelope.plans == 2
    assert envelope["median"] == 0.5
    assert (envelope.low, envelope.high) == (pytest.approx(0.275), pytest.approx(0.725))


def test_empty_outcomes_give_empty_tables():
    table = results.score_table(outcomes().iloc[:0])
    assert table.empty
    assert results.curves(table, ["a"], ["math"]).empty
    assert results.random_envelope(table, ["math"]).empty


def test_coinciding_plans_are_named_once():
    points = results.curves(results.score_table(outcomes()), ["a", "b", "c"], ["math"])
    assert results.coinciding(points) == [("a = c", [2])]


def test_ranges():
    assert results.as_ranges([5, 1, 2, 3]) == "1 to 3, 5"
    assert results.as_ranges([]) == ""


def test_pairwise_counts_discordant_items():
    table = results.pairwise(outcomes(), ["full", "a", "b"], 2, "math")
    pair = table[(table.a == "a") & (table.b == "b")].iloc[0]
    assert (pair.n, pair.a_only, pair.b_only, pair.difference, pair.p) == (4, 1, 1, 0.0, 1.0)
    full_b = table[(table.a == "full model") & (table.b == "b")].iloc[0]
    assert (full_b.a_only, full_b.b_only) == (2, 1)
    assert (table.p_holm >= table.p).all()


def test_pairwise_without_shared_measurements_is_empty():
    assert results.pairwise(outcomes(), ["a", "b"], 5, "math").empty


def test_flipped_items_say_lost_or_gained():
    table = results.flipped(outcomes(), "b", 2, "math")
    assert dict(zip(table.item_id, table.change, strict=True)) == {"i3": "gained", "i1": "lost", "i2": "lost"}


def test_overlap_of_what_is_dropped():
    a, b = PruningPlan("m", 8, (1, 2, 3)), PruningPlan("m", 8, (2, 3, 4))
    assert results.overlap(a, b) == 0.5
    assert results.overlap(a, a) == 1.0


@pytest.mark.parametrize(
    ("answer", "gold", "stopped", "correct", "rule"),
    [
        (" 7 ", "7", "end", True, "exact match"),
        ("8", "7", "end", False, "different text"),
        ("", "7", "end", False, "empty"),
        ("7 + 1 =", "7 + 1 = 8", "length", False, "truncated"),
        ("a b a b a b a b", "a", "length", False, "repeating"),
    ],
)
def test_verdicts(answer, gold, stopped, correct, rule):
    assert results.judge(answer, gold, stopped) == results.Verdict(correct, rule)


def test_first_divergence():
    assert results.first_divergence([1, 2, 3], [1, 2, 3]) is None
    assert results.first_divergence([1, 2, 3], [1, 9, 3]) == 1
    assert results.first_divergence([1, 2], [1, 2, 3]) == 2


def test_evidence_is_spread_over_columns():
    evidence = {"n_items": 40, "rank_effect": {"value": 0.4, "low": 0.1, "high": 0.6}}
    row = results.evidence_table([(3, "converged", evidence)]).iloc[0]
    assert (row.n_drop, row.label, row.rank_effect, row.rank_effect_low) == (3, "converged", 0.4, 0.1)
