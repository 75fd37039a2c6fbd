"""Statistics against numbers worked by hand or known from the literature."""

import math

import numpy as np
import pytest

from core.analysis.statistics import (
    UNDEFINED,
    Interval,
    bootstrap_interval,
    holm,
    mcnemar_exact,
    paired_bootstrap,
    smallest_detectable_difference,
    wilson_interval,
)


def test_wilson_by_hand() -> None:
    """8 of 10 with z = 1.96: centre (0.8 + 0.19208) / 1.38416 = 0.71674, half width 0.22666."""
    low, high = wilson_interval(8, 10)
    assert low == pytest.approx(0.4902, abs=1e-4)
    assert high == pytest.approx(0.9433, abs=1e-4)


def test_wilson_at_the_edges() -> None:
    assert wilson_interval(0, 0) == (0.0, 1.0)
    assert wilson_interval(0, 20)[0] == 0.0
    assert wilson_interval(0, 20)[1] == pytest.approx(1.96**2 / (20 + 1.96**2), abs=1e-4)
    assert wilson_interval(20, 20)[1] == 1.0


def test_mcnemar_by_hand() -> None:
    """1 against 7: 2 * (1 + 8) / 2^8 = 0.0703125."""
    assert mcnemar_exact(1, 7) == mcnemar_exact(7, 1) == pytest.approx(0.0703125)
    assert mcnemar_exact(0, 5) == pytest.approx(0.0625)
    assert mcnemar_exact(4, 4) == mcnemar_exact(0, 0) == 1.0


def test_holm_by_hand() -> None:
    """Sorted 0.01, 0.02, 0.04 times 3, 2, 1: 0.03, 0.04, 0.04; returned in the order given."""
    assert holm([0.04, 0.01, 0.02]) == pytest.approx([0.04, 0.03, 0.04])
    assert holm([0.6, 0.9]) == pytest.approx([1.0, 1.0])
    assert holm([0.01, 0.5, 0.02]) == pytest.approx([0.03, 0.5, 0.04])
    assert len(holm([])) == 0


def test_bootstrap_is_seeded_and_near_the_normal_interval() -> None:
    values = np.tile([0.0, 1.0], 200)
    found = bootstrap_interval(values, seed=3)
    assert found == bootstrap_interval(values, seed=3) != bootstrap_interval(values, seed=4)
    assert found.value == 0.5
    assert found.high - found.low == pytest.approx(2 * 1.96 * 0.5 / 20, rel=0.1)
    assert bootstrap_interval([2.0] * 5) == Interval(2.0, 2.0, 2.0)
    assert bootstrap_interval([]) is UNDEFINED


def test_paired_bootstrap_uses_the_pairs() -> None:
    """Ten of 400 items differ, all the same way: clear of 0, though the two scores' own intervals overlap."""
    a = np.arange(400) % 2 == 0
    b = a & (np.arange(400) >= 20)
    found = paired_bootstrap(a, b)
    assert found.value == pytest.approx(0.025)
    assert found.low > 0
    assert wilson_interval(int(b.sum()), 400)[1] > wilson_interval(int(a.sum()), 400)[0]
    assert paired_bootstrap(a, a) == Interval(0, 0, 0)
    assert paired_bootstrap(b, a).value == -found.value
    with pytest.raises(ValueError, match="differ in shape"):
        paired_bootstrap(a, b[:10])


def test_smallest_detectable_difference() -> None:
    """The textbook case: 50 % against 40 % needs 388 per group at 80 % power (387.3 before rounding up)."""
    assert smallest_detectable_difference(388) == pytest.approx(0.1, abs=1e-3)
    assert smallest_detectable_difference(388, p=0.4) == pytest.approx(0.1, abs=1e-3)
    assert smallest_detectable_difference(1000) < smallest_detectable_difference(100)
    assert smallest_detectable_difference(388, power=0.95) > 0.1
    assert math.isnan(smallest_detectable_difference(2))
    assert math.isnan(smallest_detectable_difference(0))


def test_intervals_exclude_and_survive_json() -> None:
    assert Interval(0.2, 0.1, 0.3).excludes()
    assert not Interval(0.1, -0.1, 0.3).excludes()
    assert Interval(0.1, -0.1, 0.3).excludes(0.5)
    assert not UNDEFINED.excludes()
    assert UNDEFINED.to_dict() == {"value": None, "low": None, "high": None}
    assert math.isnan(Interval.from_dict(UNDEFINED.to_dict()).low)
    assert Interval.from_dict(Interval(0.2, 0.1, 0.3).to_dict()) == Interval(0.2, 0.1, 0.3)
