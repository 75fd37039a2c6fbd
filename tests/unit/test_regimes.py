"""Regimes on small simulated sweeps: planted effects are found, and flat sweeps are not taken for anything.

How often, on sweeps of realistic size, is tested in test_calibration.py.
"""

import json

import numpy as np
import pandas as pd
import pytest

from core.analysis.effects import disagreement, spread
from core.analysis.regime_map import BudgetRegime, RegimeMap, as_ranges, low_budgets
from core.analysis.regimes import _cut, chance_score, detect_regimes, is_evidence
from core.errors import StoreError
from core.records.items import BenchmarkItem, ItemSet
from tests.simulated_sweeps import FLAT, Effects, simulate

RANK, STRUCTURE = Effects(rank=0.08), Effects(structure=0.08)


def sweep(seed: int = 0, effects: Effects = FLAT, n_drop: int = 5, **options: float) -> pd.DataFrame:
    """One budget of random plans and every criterion on few items."""
    return simulate(seed, {n_drop: effects}, **{"n_items": 150, "n_random": 60, **options})  # type: ignore[arg-type]


def labels(n_seeds: int, effects: Effects = FLAT, **options: float) -> list[str]:
    return [detect_regimes(sweep(s, effects, **options), n_boot=300).label_at(5) for s in range(n_seeds)]


def n_effects(found: list[str]) -> int:
    return sum(label in ("ranking-sensitive", "structure-dominated") for label in found)


def test_a_flat_sweep_is_not_taken_for_an_effect() -> None:
    found = labels(30)
    assert n_effects(found) <= 4
    assert found.count("converged") >= 23


def test_accidents_of_the_items_at_hand_are_not_an_effect() -> None:
    """Plans that share layers fail together on these items; resampling plans alone took a third of these for one."""
    assert n_effects(labels(20, per_layer=0.5, n_random=200)) <= 4


def test_plans_that_differ_for_other_reasons_stay_undetermined() -> None:
    """A fixed plan beats the random median half of the time: that alone must not count as ranking-sensitive."""
    found = labels(30, Effects(own=0.12))
    assert n_effects(found) <= 5
    assert found.count("converged") <= 3


def test_a_planted_rank_effect_is_found() -> None:
    assert labels(20, RANK).count("ranking-sensitive") >= 18


def test_a_ranking_that_fails_is_sensitive_too() -> None:
    assert labels(10, Effects(rank=-0.08)).count("ranking-sensitive") >= 9


def test_a_planted_structure_effect_is_found() -> None:
    assert labels(20, STRUCTURE).count("structure-dominated") >= 18


def test_domain_aware_plans_that_beat_a_flat_ensemble_are_ranking_sensitive() -> None:
    assert labels(20, Effects(aware=0.15)).count("ranking-sensitive") >= 18


def test_scores_at_the_floor_are_converged() -> None:
    assert set(labels(5, Effects(rank=0.01), base=0.01)) == {"converged"}
    rows = sweep(0, RANK, base=0.15)
    assert detect_regimes(rows, floor=0.5, n_boot=50).label_at(5) == "converged"
    assert detect_regimes(rows, n_boot=50).label_at(5) == "ranking-sensitive"


def test_too_little_data_is_undetermined() -> None:
    assert set(labels(10, n_items=12, n_random=5)) == {"undetermined"}


def test_plans_of_a_search_and_those_made_by_hand_are_no_evidence() -> None:
    """A search has seen the benchmark's own kind of data: its plans, however good, must not move a regime."""
    outcomes = sweep(0)
    best = outcomes[outcomes.criterion == "uniform"].assign(correct=True)
    other = [best.assign(criterion=c, plan_id=c) for c in ("search:math", "search:general:3", "search", "manual")]
    full = best.assign(criterion="full", plan_id="full", n_drop=0)
    assert detect_regimes(pd.concat([outcomes, *other, full]), n_boot=50) == detect_regimes(outcomes, n_boot=50)
    found = detect_regimes(pd.concat([outcomes, best.assign(criterion="greedy", plan_id="greedy")]), n_boot=50)
    assert found.budgets[0].evidence["n_criteria"] == 1 + outcomes.criterion.nunique() - 1  # greedy counts, random not
    assert found.budgets[0].evidence["score_high"] == 1.0
    counted = ["greedy", "spaced:mixed", "domain:charts", "random", "search:math", "search", "manual", "full"]
    assert [c for c in counted if is_evidence(c)] == counted[:4]


def test_a_users_domain_counts_as_domain_aware() -> None:
    outcomes = sweep(0)
    own = outcomes[outcomes.criterion == "uniform"].assign(criterion="domain:charts", plan_id="charts", correct=True)
    outcomes = pd.concat([outcomes[~outcomes.criterion.isin(["math_aware", "non_math_aware", "mixed"])], own])
    found = detect_regimes(outcomes.assign(domain="charts"), n_boot=300).budgets[0]
    assert found.label == "ranking-sensitive"
    assert found.interval("own_advantage") == found.interval("advantage")
    assert found.interval("advantage").value == pytest.approx(1 - _random_median(outcomes), abs=1e-6)


def _random_median(outcomes: pd.DataFrame) -> float:
    return float(outcomes[outcomes.criterion == "random"].groupby("plan_id", observed=True).correct.mean().median())


# ------------------------------------------------------------------------------------------------ boundaries


def sweep_of_three_regimes(seed: int = 1) -> pd.DataFrame:
    parts = {2: RANK, 3: RANK, 4: RANK, 5: FLAT, 6: FLAT, 7: STRUCTURE, 8: STRUCTURE, 9: STRUCTURE}
    return simulate(seed, parts, n_items=300, n_random=40)


def test_boundaries_lie_where_the_regimes_change() -> None:
    found = detect_regimes(sweep_of_three_regimes(), n_boot=200)
    edges = {(b.regime, b.edge): b for b in found.boundaries}
    ends, begins = edges["ranking-sensitive", "ends"], edges["structure-dominated", "begins"]
    assert ends.after == 4
    assert begins.after == 6
    assert ends.low <= 4 <= ends.high
    assert begins.low <= 6 <= begins.high


def test_no_boundary_is_claimed_in_a_flat_map() -> None:
    flat = simulate(3, dict.fromkeys((3, 4, 5, 6), FLAT), n_items=150, n_random=40)
    assert detect_regimes(flat, n_boot=200).boundaries == ()


@pytest.mark.parametrize(
    ("present", "before", "expected"),
    [("1110000", True, 2), ("0001111", False, 2), ("1101000", True, 1), ("0000000", True, None), ("1111", True, None)],
)
def test_cut_by_hand(present: str, before: bool, expected: int | None) -> None:
    assert _cut(np.array([c == "1" for c in present]), before) == expected


# ------------------------------------------------------------------------------------------------ in words


def test_the_map_survives_json_and_is_reproducible() -> None:
    outcomes = sweep_of_three_regimes()
    found = detect_regimes(outcomes, n_boot=100)
    text = json.dumps(found.to_dict(), allow_nan=False)
    back = RegimeMap.from_dict(json.loads(text))
    assert back == found == detect_regimes(outcomes.sample(frac=1, random_state=0), n_boot=100)
    assert (back.explain(3), back.summary()) == (found.explain(3), found.summary())


def test_the_explanation_says_what_was_measured_and_what_was_not() -> None:
    found = detect_regimes(sweep(0, RANK), n_boot=100)
    text = found.explain(5)
    assert "At 5 dropped layers the regime is ranking-sensitive" in text
    assert f"60 random plans and {found.budgets[0].evidence['n_criteria']} criteria answered the same 150 items" in text
    assert "partial Spearman" in text
    assert "sweep this budget" in found.explain(9)
    assert found.label_at(9) == "undetermined"


def test_the_summary_tells_ranges_boundaries_plans_and_the_paper() -> None:
    found = detect_regimes(sweep_of_three_regimes().assign(domain="math"), n_boot=200)
    text = found.summary("math")
    assert text.startswith("On math, by the number of dropped layers, the regimes are ranking-sensitive at 2 to 4, ")
    assert "structure-dominated at 7 to 9" in text
    ends = next(b for b in found.boundaries if b.edge == "ends")
    assert f"Ranking sensitivity ends after 4 dropped layers (95% interval: {ends.low} to {ends.high})." in text
    assert "the ranking by this domain's own similarity is above it at 2 to 3, by " in text
    gain = found.budgets[0].interval("advantage")
    assert f"{100 * gain.value:.1f} ({100 * gain.low:.1f} to {100 * gain.high:.1f}) at 2" in text
    assert "arXiv:2603.20275" in text
    assert "this model agrees at low budgets (ranking-sensitive at 2 to 3)" in text


def evidence(rank: float = 0.5, run: float = -0.5, gain: tuple[float, float, float] = (0.1, -0.1, 0.3)) -> dict:
    names = ("rank_effect", rank), ("structure_effect", run), ("spread", 0.1), ("own_advantage", None)
    exact = {name: {"value": v, "low": v, "high": v} for name, v in names}
    counts = {"n_items": 100, "n_random": 64, "n_criteria": 9, "floor": 0.2, "at_floor": False}
    return {**exact, **counts, "advantage": dict(zip(("value", "low", "high"), gain, strict=True))}


def test_the_summary_says_where_the_model_differs_and_which_way_effects_go() -> None:
    budgets = [
        BudgetRegime(1, "converged", evidence(gain=(-0.1, -0.2, -0.05))),
        BudgetRegime(2, "ranking-sensitive", evidence(rank=-0.6)),
        BudgetRegime(3, "structure-dominated", evidence(run=0.7)),
        BudgetRegime(4, "converged", {**evidence(), "at_floor": True}),
    ]
    text = RegimeMap(tuple(budgets)).summary("charts")
    assert "the regimes are converged at 1, 4, ranking-sensitive at 2 and structure-dominated at 3" in text
    assert "At 2 dropping the more similar layers scores lower" in text
    assert "At 3 long runs of dropped layers score higher" in text
    assert "At 4 nearly all scores sit at the floor of 20%." in text
    assert "Where ranking sensitivity ends and where structure's dominance begins cannot be told." in text
    assert "the domain-aware plans together are below it at 1, by -10.0 (-20.0 to -5.0) at 1" in text
    assert "own similarity" not in text
    assert "this model differs at low budgets (converged at 1), at moderate budgets (ranking-sensitive at 2" in text
    assert RegimeMap(()).summary("charts") == "On charts no pruned plan was measured: run a sweep."


def test_ranges_and_thirds_by_hand() -> None:
    assert as_ranges([5, 1, 2, 3]) == "1 to 3, 5"
    assert as_ranges([]) == ""
    assert low_budgets([4, 2, 6, 8, 10, 12, 14]) == [2, 4]
    assert low_budgets([3]) == [3]
    assert low_budgets([]) == []


# ------------------------------------------------------------------------------------------------ odd tables


def test_items_that_a_stopped_run_did_not_reach_are_left_out() -> None:
    outcomes = sweep(0, RANK)
    users = outcomes[outcomes.criterion != "random"].groupby("plan_id", observed=True).criterion.unique()
    stopped = next(names[0] for names in users if len(names) == 1)  # the only criterion with its plan
    rest, own = outcomes[outcomes.criterion != stopped], outcomes[outcomes.criterion == stopped]
    assert detect_regimes(pd.concat([rest, own[:100]]), n_boot=50).budgets[0].evidence["n_items"] == 100
    evidence = detect_regimes(pd.concat([rest, own[:1]]), n_boot=50).budgets[0].evidence
    assert (evidence["n_items"], evidence["n_criteria"]) == (150, rest.criterion.nunique() - 1)


def test_items_of_two_benchmarks_may_have_the_same_id() -> None:
    items = sweep(0, RANK)
    one, two = (items.assign(benchmark=b, item_id=items.item_id.astype(str)) for b in "xy")
    other = "z" + two.item_id  # in the same order
    found, expected = (
        detect_regimes(pd.concat([one, two.assign(item_id=ids)]), n_boot=50).budgets[0] for ids in (two.item_id, other)
    )
    assert found.evidence["n_items"] == 300
    assert found == expected


def test_a_benchmark_that_few_plans_have_come_to_does_not_count_yet() -> None:
    both = sweep(0, RANK, n_items=550)
    both["plan_id"], both["item_id"] = both.plan_id.astype(str), both.item_id.astype(str)
    first = both.item_id.isin(sorted(both.item_id.unique())[:150])
    one, two = both[first].assign(benchmark="x"), both[~first].assign(benchmark="y")
    begun = two[two.plan_id.isin(sorted(one.plan_id.unique())[:8])]
    found = detect_regimes(pd.concat([begun, one]), n_boot=50)
    assert found.budgets[0].evidence["n_items"] == 150
    assert found == detect_regimes(one, n_boot=50)
    assert detect_regimes(pd.concat([two, one]), n_boot=50).budgets[0].evidence["n_items"] == 550


def test_a_plan_measured_again_under_another_calibration_counts_once() -> None:
    one = sweep(0)
    again = one[one.criterion != "random"].assign(similarity_dropped=lambda d: d.similarity_dropped + 0.01)
    found = detect_regimes(pd.concat([one, again]), n_boot=100)
    assert found == detect_regimes(one, n_boot=100)


def test_repeated_random_plans_count_once() -> None:
    evidence = detect_regimes(sweep(0, n_drop=1), n_boot=50).budgets[0].evidence
    assert evidence["n_random"] == 14
    assert evidence["structure_effect"]["value"] is None  # one dropped layer has no structure


def test_a_table_of_two_domains_is_refused() -> None:
    one = sweep(0)
    with pytest.raises(StoreError, match="one domain at a time"):
        detect_regimes(pd.concat([one.assign(domain="math"), one.assign(domain="general")]))
    with pytest.raises(StoreError, match="longest_run"):
        detect_regimes(one.drop(columns="longest_run"))


def test_spread_by_hand() -> None:
    """Two plans on 100 items, right on 80 and 60 of them independently: Q = 100 * 2 * 0.01 / residual, known noise."""
    a = np.arange(100) % 10 < 8
    b = np.arange(100) // 10 < 6
    found = spread([np.array([a, b])])
    residual = ((a.astype(float) - b - 0.2) ** 2).sum() / 2 / 99  # of one outcome, by the differences
    assert found.value == pytest.approx(np.sqrt(0.02 - residual / 100))
    assert found.low > 0
    same = spread([np.array([a, a])])
    assert (same.value, same.low, same.high) == (0, 0, 0)


def test_chance_is_each_tasks_commonest_answer() -> None:
    answers = [("count", "3"), ("count", "3"), ("count", "5"), ("colour", "red"), ("colour", "blue")]
    items = tuple(BenchmarkItem(str(i), task, "?", answer) for i, (task, answer) in enumerate(answers))
    tasks = ItemSet("b", "math", "test", "h", items * 10)
    assert chance_score(tasks) == pytest.approx(3 / 5)
    few = ItemSet("b", "math", "test", "h", items)
    assert chance_score(few) == pytest.approx(2 / 5), "tasks of a few items are one task"


def test_disagreement_by_hand() -> None:
    """Of three plans on four items, the pairs differ on 1, 2 and 3 items: 6 of 12."""
    plans = np.array([[1, 1, 1, 1], [1, 1, 1, 0], [0, 1, 0, 1]], bool)
    assert disagreement([plans]) == pytest.approx(6 / 12)
    assert np.isnan(disagreement([plans[:1]]))
