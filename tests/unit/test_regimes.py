"""Regimes on simulated sweeps: planted effects are found, and flat sweeps are not taken for anything."""

import json
import time

import numpy as np
import pandas as pd
import pytest

from core.analysis.effects import spread
from core.analysis.regimes import RegimeMap, _cut, chance_score, detect_regimes
from core.errors import StoreError
from core.pruning.plan import PruningPlan
from core.runs.records import BenchmarkItem, ItemSet

N_LAYERS = 16
AWARE = ("math_aware", "non_math_aware", "mixed")


def simulate(
    seed: int,
    n_drop: int = 5,
    *,
    rank: float = 0.0,
    structure: float = 0.0,
    aware: float = 0.0,
    idiosyncratic: float = 0.0,
    layer_items: float = 0.0,
    base: float = 0.6,
    n_random: int = 60,
    n_items: int = 150,
) -> pd.DataFrame:
    """A budget of random plans and six criteria; effects are in logits per standard deviation of the ensemble.

    idiosyncratic: plans differ for reasons that neither similarity nor runs tell. layer_items: each layer matters for
    items of its own, so that plans which share dropped layers fail together.
    """
    rng = np.random.default_rng(seed)
    similarity = rng.uniform(0.7, 0.99, N_LAYERS)
    names = [*AWARE, "uniform", "deepest", "block"] + ["random"] * n_random
    free = np.arange(1, N_LAYERS - 1)
    plans = [PruningPlan("sim", N_LAYERS, tuple(rng.choice(free, n_drop, replace=False)), name) for name in names]
    x = np.array([similarity[list(p.dropped)].sum() for p in plans])
    run = np.array([p.longest_run for p in plans], float)

    def standard(v: np.ndarray) -> np.ndarray:
        return (v - v.mean()) / (v.std() + 1e-9)

    logits = np.log(base / (1 - base)) + rank * standard(x) - structure * standard(run)
    logits = logits + aware * np.isin(names, AWARE) + rng.normal(0, idiosyncratic, len(plans))
    grid = logits[:, None] + rng.normal(0, 1, n_items)
    if layer_items:
        per_layer = rng.normal(0, layer_items, (N_LAYERS, n_items))
        grid = grid + np.array([per_layer[list(p.dropped)].sum(0) for p in plans])
    chance = 1 / (1 + np.exp(-grid))
    first = {p.plan_id: i for i, p in reversed(list(enumerate(plans)))}
    correct = (rng.random(chance.shape) < chance)[
        [first[p.plan_id] for p in plans]
    ]  # the same layers, the same outcomes
    columns = {
        "plan_id": [p.plan_id for p in plans],
        "criterion": names,
        "n_drop": [p.n_drop for p in plans],
        "longest_run": run,
        "similarity_dropped": x,
    }
    outcomes = pd.DataFrame({name: np.repeat(np.array(values), n_items) for name, values in columns.items()})
    return outcomes.assign(item_id=np.tile([f"item{i}" for i in range(n_items)], len(plans)), correct=correct.ravel())


def labels(n_seeds: int, **effects: float) -> list[str]:
    return [detect_regimes(simulate(s, **effects), n_boot=300).label_at(5) for s in range(n_seeds)]  # type: ignore[arg-type]


def test_a_flat_sweep_is_not_taken_for_an_effect() -> None:
    found = labels(40)
    assert sum(label in ("ranking-sensitive", "structure-dominated") for label in found) <= 4
    assert found.count("converged") >= 30


def test_accidents_of_the_items_at_hand_are_not_an_effect() -> None:
    """Plans that share layers fail together on these items; resampling plans alone took a third of these for one."""
    found = labels(20, layer_items=0.5, n_random=200)
    assert sum(label in ("ranking-sensitive", "structure-dominated") for label in found) <= 4


def test_plans_that_differ_for_reasons_of_their_own_stay_undetermined() -> None:
    """A fixed plan beats the random median half of the time: that alone must not count as ranking-sensitive."""
    found = labels(30, idiosyncratic=0.8)
    assert sum(label in ("ranking-sensitive", "structure-dominated") for label in found) <= 6
    assert found.count("converged") <= 3


def test_a_planted_rank_effect_is_found() -> None:
    assert labels(20, rank=0.5).count("ranking-sensitive") >= 18


def test_a_planted_structure_effect_is_found() -> None:
    assert labels(20, structure=0.5).count("structure-dominated") >= 18


def test_domain_aware_plans_that_beat_a_flat_ensemble_are_ranking_sensitive() -> None:
    assert labels(20, aware=0.8).count("ranking-sensitive") >= 16


def test_scores_at_the_floor_are_converged() -> None:
    assert set(labels(5, base=0.005, rank=0.5)) == {"converged"}


def test_too_little_data_is_undetermined() -> None:
    assert set(labels(10, n_items=12, n_random=5)) == {"undetermined"}


def sweep_of_three_regimes(seed: int = 1) -> pd.DataFrame:
    return pd.concat(
        [
            *(simulate(seed * 100 + k, k, rank=0.8, n_random=40) for k in (2, 3, 4)),
            *(simulate(seed * 100 + k, k, n_random=40) for k in (5, 6)),
            *(simulate(seed * 100 + k, k, structure=0.8, n_random=40) for k in (7, 8, 9)),
        ]
    )


def test_boundaries_lie_where_the_regimes_change() -> None:
    found = detect_regimes(sweep_of_three_regimes(), n_boot=200)
    edges = {(b.regime, b.edge): b for b in found.boundaries}
    ends, begins = edges["ranking-sensitive", "ends"], edges["structure-dominated", "begins"]
    assert ends.after == 4
    assert begins.after == 6
    assert ends.low <= 4 <= ends.high
    assert begins.low <= 6 <= begins.high


def test_no_boundary_is_claimed_in_a_flat_map() -> None:
    flat = pd.concat([simulate(k, k, n_random=40) for k in (3, 4, 5, 6)])
    assert detect_regimes(flat, n_boot=200).boundaries == ()


def test_the_map_survives_json_and_is_reproducible() -> None:
    outcomes = sweep_of_three_regimes()
    found = detect_regimes(outcomes, n_boot=100)
    text = json.dumps(found.to_dict(), allow_nan=False)
    back = RegimeMap.from_dict(json.loads(text))
    assert back == found == detect_regimes(outcomes.sample(frac=1, random_state=0), n_boot=100)
    assert back.explain(3) == found.explain(3)


def test_the_explanation_says_what_was_measured_and_what_was_not() -> None:
    found = detect_regimes(simulate(0, rank=0.8), n_boot=100)
    text = found.explain(5)
    assert "At 5 dropped layers the regime is ranking-sensitive" in text
    assert "60 random plans and 6 criteria answered the same 150 items" in text
    assert "partial Spearman" in text
    assert "sweep this budget" in found.explain(9)
    assert found.label_at(9) == "undetermined"


def test_items_that_a_stopped_run_did_not_reach_are_left_out() -> None:
    outcomes = simulate(0, rank=0.8)
    reached = outcomes[(outcomes.criterion != "block") | outcomes.item_id.isin([f"item{i}" for i in range(100)])]
    assert detect_regimes(reached, n_boot=50).budgets[0].evidence["n_items"] == 100
    barely = outcomes[(outcomes.criterion != "block") | outcomes.item_id.isin(["item0"])]
    evidence = detect_regimes(barely, n_boot=50).budgets[0].evidence
    assert (evidence["n_items"], evidence["n_criteria"]) == (150, 5)


def test_a_plan_measured_again_under_another_calibration_counts_once() -> None:
    one = simulate(0)
    again = one[one.criterion != "random"].assign(similarity_dropped=lambda d: d.similarity_dropped + 0.01)
    found = detect_regimes(pd.concat([one, again]), n_boot=100)
    assert found == detect_regimes(one, n_boot=100)


def test_repeated_random_plans_count_once() -> None:
    evidence = detect_regimes(simulate(0, n_drop=1, n_random=80), n_boot=50).budgets[0].evidence
    assert evidence["n_random"] == N_LAYERS - 2
    assert evidence["structure_effect"]["value"] is None  # one dropped layer has no structure


def test_a_table_of_two_domains_is_refused() -> None:
    one = simulate(0)
    with pytest.raises(StoreError, match="one domain at a time"):
        detect_regimes(pd.concat([one.assign(domain="math"), one.assign(domain="general")]))
    with pytest.raises(StoreError, match="longest_run"):
        detect_regimes(one.drop(columns="longest_run"))


def test_spread_by_hand() -> None:
    """Two plans on 100 items, right on 80 and 60 of them independently: Q = 100 * 2 * 0.01 / residual, known noise."""
    a = np.arange(100) % 10 < 8
    b = np.arange(100) // 10 < 6
    found = spread(np.array([a, b]))
    residual = ((a.astype(float) - b - 0.2) ** 2).sum() / 2 / 99  # of one outcome, by the differences
    assert found.value == pytest.approx(np.sqrt(0.02 - residual / 100))
    assert found.low > 0
    same = spread(np.array([a, a]))
    assert (same.value, same.low, same.high) == (0, 0, 0)


@pytest.mark.parametrize(
    ("present", "before", "expected"),
    [("1110000", True, 2), ("0001111", False, 2), ("1101000", True, 1), ("0000000", True, None), ("1111", True, None)],
)
def test_cut_by_hand(present: str, before: bool, expected: int | None) -> None:
    assert _cut(np.array([c == "1" for c in present]), before) == expected


def test_chance_is_each_tasks_commonest_answer() -> None:
    answers = [("count", "3"), ("count", "3"), ("count", "5"), ("colour", "red"), ("colour", "blue")]
    items = tuple(BenchmarkItem(str(i), task, "?", answer) for i, (task, answer) in enumerate(answers))
    assert chance_score(ItemSet("b", "math", "test", "h", items)) == pytest.approx(3 / 5)


@pytest.mark.slow
def test_a_full_map_takes_seconds() -> None:
    """Twelve budgets, 300 plans, 250 items; the bound is loose because test machines are shared."""
    outcomes = pd.concat([simulate(k, k, n_random=300, n_items=250) for k in range(2, 14)])
    started = time.monotonic()
    detect_regimes(outcomes)
    assert time.monotonic() - started < 30
