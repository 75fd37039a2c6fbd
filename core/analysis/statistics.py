"""The statistics that scores are read with: intervals, paired tests, and what a number of items can show.

Outcomes are right or wrong and plans answer the same items, so comparisons are paired. scipy is imported where needed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]

LEVEL = 0.95
N_BOOTSTRAP = 2000


@dataclass(frozen=True)
class Interval:
    """An estimate with its interval; NaN where it cannot be computed."""

    value: float
    low: float
    high: float

    def excludes(self, value: float = 0.0) -> bool:
        """Whether the interval is clear of a value; an undefined interval excludes nothing."""
        return self.low > value or self.high < value

    def to_dict(self) -> dict[str, float | None]:
        """JSON has no NaN: undefined numbers become null."""
        return {k: None if math.isnan(v) else round(v, 6) for k, v in vars(self).items()}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "Interval":
        return cls(**{k: math.nan if data[k] is None else float(data[k]) for k in ("value", "low", "high")})


UNDEFINED = Interval(math.nan, math.nan, math.nan)


def wilson_interval(n_correct: int, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927); (0, 1) when nothing was scored."""
    if n == 0:
        return 0.0, 1.0
    z, p = _z(level), n_correct / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, centre - half), min(1.0, centre + half)


def bootstrap_interval(values: ArrayLike, level: float = LEVEL, n_boot: int = N_BOOTSTRAP, seed: int = 0) -> Interval:
    """Mean of the values with its seeded percentile bootstrap interval."""
    x = np.asarray(values, np.float64)
    if x.size == 0:
        return UNDEFINED
    means = resample_counts(np.random.default_rng(seed), len(x), n_boot) @ x / len(x)
    return Interval(float(x.mean()), *percentile_limits(means, level))


def mcnemar_exact(a_only: int, b_only: int) -> float:
    """Two-sided exact McNemar p-value from the items that only a, or only b, gets right; 1 when they never disagree."""
    from scipy.stats import binomtest

    disagreements = a_only + b_only
    return float(binomtest(a_only, disagreements).pvalue) if disagreements else 1.0


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, level: float = LEVEL, n_boot: int = N_BOOTSTRAP, seed: int = 0
) -> Interval:
    """Score of a minus score of b on the same items, with the percentile bootstrap interval over items.

    Args:
        a, b: (n,) right or wrong, item by item.
    """
    x, y = np.asarray(a, bool), np.asarray(b, bool)
    if x.shape != y.shape:
        raise ValueError(f"paired outcomes differ in shape: {x.shape} and {y.shape}")
    return bootstrap_interval(x.astype(np.float64) - y, level, n_boot, seed)


def holm(p_values: Sequence[float] | Array) -> Array:
    """Holm's step-down adjustment of a family of p-values (Holm 1979), in the order given."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    return adjusted


def smallest_detectable_difference(n: int, p: float = 0.5, power: float = 0.8, level: float = LEVEL) -> float:
    """The smallest difference between two scores on n items each that a two-sided test would find with this power.

    Normal approximation for two independent shares, from p towards one half (the harder side). On shared items two
    plans mostly agree, so a paired test sees a little less than this: read it as a cautious bound.

    Returns:
        In (0, 1]; NaN where no difference is large enough.
    """
    z_test, z_power = _z(level), NormalDist().inv_cdf(power)
    direction = -1.0 if p >= 0.5 else 1.0

    def seen(d: float) -> bool:
        q = p + direction * d
        pooled = (p + q) / 2
        under_null = z_test * math.sqrt(2 * pooled * (1 - pooled) / n)
        return d >= under_null + z_power * math.sqrt((p * (1 - p) + q * (1 - q)) / n)

    low, high = 0.0, max(p, 1 - p)
    if n < 1 or not seen(high):
        return math.nan
    for _ in range(50):  # bisection: `seen` turns true once as the difference grows
        middle = (low + high) / 2
        low, high = (low, middle) if seen(middle) else (middle, high)
    return high


def resample_counts(rng: np.random.Generator, n: int, n_boot: int) -> Array:
    """(n_boot, n) how often each of n units is drawn in each resample: a matrix product then does the bootstrap."""
    return rng.multinomial(n, np.full(n, 1 / n), size=n_boot).astype(np.float64)


def percentile_limits(draws: Array, level: float = LEVEL) -> tuple[float, float]:
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
