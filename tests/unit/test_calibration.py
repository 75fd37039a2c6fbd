"""The statistics are right as often as they promise, on sweeps of realistic size (tests/calibration.py, smaller)."""

import numpy as np
import pytest

from tests.calibration import (
    KINDS,
    claims,
    coverage,
    mcnemar_power,
    paired_coverage,
    share_right,
    sweep_outcome,
    wilson_coverage,
)
from tests.simulated_sweeps import BUDGETS, FLAT, Effects, simulate

SWEEPS = 30


@pytest.mark.slow
@pytest.mark.parametrize("name", ["flat", "own", "rank", "structure", "changes"])
def test_labels_are_right_as_often_as_promised(name: str) -> None:
    kind = KINDS[name]
    found = [sweep_outcome(kind, seed, n_items=300, n_boot=300) for seed in range(1000, 1000 + SWEEPS)]
    assert kind.promised is not None
    assert share_right(found) >= kind.promised
    if len(kind.effects) > 1:
        assert len(claims(found)) >= 0.8 * 2 * SWEEPS
        assert coverage(found) >= 0.9


@pytest.mark.slow
def test_boundary_intervals_hold_the_truth_where_their_points_do_not() -> None:
    """Effects so small that labels go missing and cuts slip: the interval has to know."""
    found = [sweep_outcome(KINDS["changes2"], seed, n_items=300, n_boot=300) for seed in range(1000, 1000 + SWEEPS)]
    assert len(claims(found)) >= 0.5 * SWEEPS
    assert np.mean([truth == point for truth, (_, point, _) in claims(found)]) < 0.9
    assert coverage(found) >= 0.9


@pytest.mark.parametrize("n", [100, 500])
def test_wilson_intervals_hold_the_truth(n: int) -> None:
    shares = [wilson_coverage(n, p, 2000) for p in (0.1, 0.5, 0.8, 0.95)]
    assert min(shares) > 0.92 and max(shares) < 0.98
    assert 0.93 <= np.mean(shares) <= 0.97


def test_paired_intervals_hold_the_truth() -> None:
    shares = [paired_coverage(500, s, d, 500) for s, d in ((0.4, 0.0), (0.2, 0.05), (0.1, 0.05))]
    assert 0.93 <= np.mean(shares) <= 0.97


@pytest.mark.parametrize("discordant", [0.1, 0.3, 0.5])
def test_the_smallest_detectable_difference_is_detected(discordant: float) -> None:
    assert mcnemar_power(500, discordant, 1000) == pytest.approx(0.8, abs=0.05)


# ------------------------------------------------------------------------------------------------ the simulation itself


def test_simulated_effects_have_the_size_that_is_said() -> None:
    """Without noise from items: a rank effect of 6 points is a standard deviation of 6 points between plans."""
    outcomes = simulate(0, {7: Effects(rank=0.06)}, n_items=20_000, base=0.5)
    scores = outcomes[outcomes.criterion == "random"].groupby("plan_id", observed=True)
    table = scores[["correct", "similarity_dropped"]].mean()
    assert table.correct.std() == pytest.approx(0.06, abs=0.015)
    assert table.corr().iloc[0, 1] > 0.95


def test_simulated_sweeps_have_the_size_and_the_difficulty_of_real_ones() -> None:
    outcomes = simulate(0, dict.fromkeys(BUDGETS, FLAT), n_items=50)
    random = outcomes[outcomes.criterion == "random"]
    plans = random.groupby("n_drop").plan_id.nunique()
    assert plans.to_dict() == {k: {1: 14, 13: 14, 14: 1}.get(k, 64) for k in BUDGETS}
    assert outcomes[outcomes.n_drop == 3].criterion.nunique() >= 9
    per_plan = [simulate(s, {7: FLAT}, n_items=1).query("criterion == 'random'") for s in range(12)]
    together = [p[["similarity_dropped", "longest_run"]].corr().iloc[0, 1] for p in per_plan]
    assert np.mean(together) > 0.15
