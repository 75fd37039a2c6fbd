"""Statistics against numbers worked by hand or known from the literature."""

import math

import numpy as np
import pytest
from scipy.stats import binomtest, bootstrap

from core.analysis.statistics import (
    UNDEFINED,
    Interval,
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


def test_wilson_is_scipys() -> None:
    for n_correct, n in ((0, 7), (3, 7), (451, 500), (500, 500)):
        found = binomtest(n_correct, n).proportion_ci(0.9, method="wilson")
        assert wilson_interval(n_correct, n, 0.9) == pytest.approx((found.low, found.high))


def test_paired_bootstrap_is_the_bootstrap_of_the_differences() -> None:
    """Drawing the counts of discordant items is resampling the items."""
    rng = np.random.default_rng(0)
    a, b = rng.random(300) < 0.8, rng.random(300) < 0.7
    counted, gaps = paired_bootstrap(a, b, n_boot=20_000), a.astype(int) - b
    resampled = bootstrap((gaps,), np.mean, n_resamples=20_000, method="percentile", rng=0).confidence_interval
    assert counted.value == pytest.approx(gaps.mean())
    assert (counted.low, counted.high) == pytest.approx((resampled.low, resampled.high), abs=1 / 300 + 1e-9)
    assert paired_bootstrap([], []) is UNDEFINED


def test_smallest_detectable_difference() -> None:
    """By hand, 500 items of which 20 % discord: (1.96 sqrt(s) + 0.8416 sqrt(s - d^2))^2 / d^2 = 500 at d = 0.0559."""
    found = smallest_detectable_difference(500, 0.2)
    d = found - 1 / 500  # the exact test moves in whole items
    assert d == pytest.approx(0.0559, abs=1e-4)
    assert (1.95996 * math.sqrt(0.2) + 0.84162 * math.sqrt(0.2 - d * d)) ** 2 / d**2 == pytest.approx(500, rel=1e-3)
    assert smallest_detectable_difference(1000, 0.2) < found < smallest_detectable_difference(500, 0.3)
    assert found < smallest_detectable_difference(500)  # plans that have nothing in common are the hardest case
    assert smallest_detectable_difference(500, 0.2, power=0.95) > found
    assert smallest_detectable_difference(500, 0.2, level=0.99) > found


@pytest.mark.parametrize(("n", "discordant"), [(0, 0.5), (2, 0.5), (100, 0.0), (100, 0.02), (100, math.nan)])
def test_no_difference_is_large_enough(n: int, discordant: float) -> None:
    assert math.isnan(smallest_detectable_difference(n, discordant))


def test_intervals_exclude_and_survive_json() -> None:
    assert Interval(0.2, 0.1, 0.3).excludes()
    assert not Interval(0.1, -0.1, 0.3).excludes()
    assert Interval(0.1, -0.1, 0.3).excludes(0.5)
    assert not UNDEFINED.excludes()
    assert UNDEFINED.to_dict() == {"value": None, "low": None, "high": None}
    assert math.isnan(Interval.from_dict(UNDEFINED.to_dict()).low)
    assert Interval.from_dict(Interval(0.2, 0.1, 0.3).to_dict()) == Interval(0.2, 0.1, 0.3)
