"""Tables of scores, on numbers worked out by hand."""

import numpy as np
import pandas as pd
import pytest

from core.analysis import BudgetRegime, RegimeMap, tables
from core.records.plan import ModelSpec, PruningPlan
from core.records.runs import RunRecord


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
            nll = 0.25 if r == "1" else 1.0 + i
            rows.append((plan_id, criterion, seed, n_drop, n_drop, "math", f"i{i}", f"t{i % 2}", r == "1", nll))
    columns = [
        "plan_id",
        "criterion",
        "seed",
        "n_drop",
        "longest_run",
        "domain",
        "item_id",
        "task",
        "correct",
        "gold_nll",
    ]
    return pd.DataFrame(rows, columns=columns).assign(benchmark="tiny-math", graded=float("nan"))


def test_scores_retention_and_full_model():
    table = tables.score_table(outcomes())
    a = table[table.criterion == "a"].iloc[0]
    assert (a.n, a.n_correct, a.score) == (4, 2, 0.5)
    assert a.retention == pytest.approx(2 / 3)
    assert a.low == pytest.approx(0.15004, abs=1e-4)  # Wilson, 2 of 4
    assert tables.full_score(table, "math") == 0.75
    assert np.isnan(tables.full_score(table, "general"))


def test_scores_by_task_split_the_items():
    table = tables.score_table(outcomes(), "task")
    a = table[table.criterion == "a"].set_index("group")
    assert a.n.to_dict() == {"t0": 2, "t1": 2}
    assert a.score.to_dict() == {"t0": 0.5, "t1": 0.5}


def test_envelope_is_over_the_random_plans_only():
    envelope = tables.random_envelope(tables.score_table(outcomes()), ["math"]).iloc[0]
    assert envelope.plans == 2
    assert envelope["median"] == 0.5
    assert (envelope.low, envelope.high) == (pytest.approx(0.3), pytest.approx(0.7))


def test_empty_outcomes_give_empty_tables():
    table = tables.score_table(outcomes().iloc[:0])
    assert table.empty
    assert tables.curves(table, ["a"], ["math"]).empty
    assert tables.random_envelope(table, ["math"]).empty


def test_coinciding_plans_are_named_once():
    points = tables.curves(tables.score_table(outcomes()), ["a", "b", "c"], ["math"])
    assert tables.coinciding(points) == [("a = c", [2])]


def test_ranges():
    assert tables.as_ranges([5, 1, 2, 3]) == "1 to 3, 5"
    assert tables.as_ranges([]) == ""


def test_pairwise_counts_discordant_items():
    table = tables.pairwise(outcomes(), ["full", "a", "b"], 2, "math")
    pair = table[(table.a == "a") & (table.b == "b")].iloc[0]
    assert (pair.n, pair.a_only, pair.b_only, pair.difference, pair.p) == (4, 1, 1, 0.0, 1.0)
    full_b = table[(table.a == "full model") & (table.b == "b")].iloc[0]
    assert (full_b.a_only, full_b.b_only) == (2, 1)
    assert full_b.low <= full_b.difference == 0.25 <= full_b.high
    assert (table.p_holm >= table.p).all()


def test_pairs_are_read_in_points_with_what_could_be_seen():
    row = tables.pairs_as_read(tables.pairwise(outcomes(), ["full", "b"], 2, "math")).iloc[0]
    assert (row.a, row.b, row.n, row.a_only, row.b_only, row.difference) == ("full model", "b", 4, 2, 1, 25.0)
    assert row.interval.startswith("-") and " to +" in row.interval
    assert row.p == "1.000" and np.isnan(row.visible)  # four items can show nothing


def test_pairwise_without_shared_measurements_is_empty():
    assert tables.pairwise(outcomes(), ["a", "b"], 5, "math").empty


def test_flipped_items_say_lost_or_gained_the_largest_change_first():
    table = tables.flipped(outcomes(), "b", 2, "math")
    assert table[["item_id", "change"]].to_numpy().tolist() == [["i3", "gained"], ["i2", "lost"], ["i1", "lost"]]
    assert (table.full_nll[0], table.plan_nll[0]) == (4.0, 0.25)
    assert tables.flipped(outcomes(), "b", 3, "math").empty


def test_flips_are_counted_by_task():
    flips = tables.flipped(outcomes(), "b", 2, "math")
    counts = tables.flips_by_task(flips, tables.score_table(outcomes(), "task"))
    assert counts.to_dict("records") == [
        {"task": "t0", "lost": 1, "gained": 0, "n": 2},
        {"task": "t1", "lost": 1, "gained": 1, "n": 2},
    ]


def test_the_front_keeps_what_nothing_cheaper_or_better_beats():
    cost, value = pd.Series([1, 1, 2, 3, 3, 4]), pd.Series([0.2, 0.3, 0.3, 0.5, 0.4, 0.5])
    assert tables.pareto_front(cost, value).tolist() == [False, True, False, True, False, False]


def test_cost_frame_keeps_the_front_of_all_plans_beside_the_chosen_ones():
    table = tables.score_table(outcomes())
    costs = pd.DataFrame({"plan_id": ["p0", "pa", "pb", "r0", "r1"], "flops": [9, 5, 4, 4, 6]})
    frame = tables.cost_frame(table, costs, "flops", "math", ["a"])
    assert dict(zip(frame.criterion + frame.plan_id, frame.front, strict=True)) == {
        "bpb": True,  # 0.5 at 4
        "randomr0": False,  # 0.25 at 4
        "apa": False,  # 0.5 at 5
        "randomr1": True,  # 0.75 at 6
    }


def test_scores_from_elsewhere_stand_for_themselves():
    def run(origin: str, benchmark: str, right: int, n_drop: int) -> RunRecord:
        plan = PruningPlan("m", 8, tuple(range(1, 1 + n_drop)), "uniform" if n_drop else "full")
        spec = ModelSpec("m", "r", "llava", 8, (), 8, (1,) * 8, "float32", "cuda")
        correct = tuple(i < right for i in range(10))
        ids = tuple(map(str, range(10)))
        return RunRecord(spec, plan, benchmark, "math", benchmark, "exact", ids, correct, (None,) * 10, origin=origin)

    runs = [
        run("imported", "x", 10, 0),
        run("imported", "x", 5, 2),
        run("published", "y", 8, 0),
        run("published", "y", 6, 2),
    ]
    points = tables.reference_points(runs, "math", "retention").set_index("origin")
    assert points.value.to_dict() == pytest.approx({"imported": 0.5, "published": 0.75})
    assert points.label["published"] == "uniform (published)" and points.benchmark["imported"] == "x"
    assert tables.reference_points(runs, "general").empty


def test_the_twin_of_a_score_chart_holds_everything_that_is_drawn():
    table = tables.score_table(outcomes())
    points, envelope = tables.curves(table, ["a"], ["math"]), tables.random_envelope(table, ["math"])
    twin = tables.drawn_numbers(points, envelope, None)
    assert twin[["criterion", "n_drop", "value"]].to_numpy().tolist() == [["a", 2, 0.5], ["random", 2, 0.5]]
    assert tables.drawn_numbers(points.iloc[:0], envelope.iloc[:0], None).empty


def test_evidence_is_spread_over_columns():
    evidence = {"n_items": 40, "rank_effect": {"value": 0.4, "low": 0.1, "high": 0.6}}
    row = tables.evidence_table(RegimeMap((BudgetRegime(3, "converged", evidence),))).iloc[0]
    assert (row.n_drop, row.label, row.rank_effect, row.rank_effect_low) == (3, "converged", 0.4, 0.1)
