"""The statistics that scores are read with: intervals, paired tests, and what a number of items can show.

Outcomes are right or wrong and plans answer the same items, so comparisons are paired. scipy does what it has. Wilson's
interval and Holm's adjustment are written out: scipy makes an exact test with each Wilson interval (half a millisecond,
and tables have thousands of rows) and has no Holm, for which one more package is too much. tests/calibration.py shows
coverage and power.
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


def mcnemar_exact(a_only: int, b_only: int) -> float:
    """Two-sided exact McNemar p-value from the items that only a, or only b, gets right; 1 when they never disagree."""
    from scipy.stats import binomtest

    disagreements = a_only + b_only
    return float(binomtest(a_only, disagreements).pvalue) if disagreements else 1.0


def paired_bootstrap(
    a: ArrayLike, b: ArrayLike, level: float = LEVEL, n_boot: int = N_BOOTSTRAP, seed: int = 0
) -> Interval:
    """Score of a minus score of b on the same items, with the seeded percentile bootstrap interval over items.

    Resampling items moves only how many of them a alone, or b alone, gets right; those counts are drawn directly.

    Args:
        a, b: (n,) right or wrong, item by item.
    """
    x, y = np.asarray(a, bool), np.asarray(b, bool)
    if x.shape != y.shape:
        raise ValueError(f"paired outcomes differ in shape: {x.shape} and {y.shape}")
    n = len(x)
    if n == 0:
        return UNDEFINED
    a_only, b_only = int((x & ~y).sum()), int((y & ~x).sum())
    shares = np.array([a_only, b_only, n - a_only - b_only]) / n
    drawn = np.random.default_rng(seed).multinomial(n, shares, n_boot)
    return Interval((a_only - b_only) / n, *percentile_limits((drawn[:, 0] - drawn[:, 1]) / n, level))


def holm(p_values: Sequence[float] | Array) -> Array:
    """Holm's step-down adjustment of a family of p-values (Holm 1979), in the order given."""
    p = np.asarray(p_values, np.float64)
    order = np.argsort(p, kind="stable")
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * (len(p) - np.arange(len(p)))))
    return adjusted


def smallest_detectable_difference(n: int, discordant: float = 0.5, power: float = 0.8, level: float = LEVEL) -> float:
    """The smallest difference between two scores on the same n items that a McNemar test would find with this power.

    Normal approximation (Connor 1987, Biometrics 43): d sqrt(n) = z_test sqrt(s) + z_power sqrt(s - d^2), solved for d;
    plus one item, since the exact test moves in whole items.

    Args:
        discordant: s, the share of items that exactly one of the two plans gets right. One half is what plans that
            have nothing in common reach at most, so the default is a cautious bound; plans mostly agree.
    Returns:
        In (0, discordant]; NaN where no difference is large enough.
    """
    if n < 1 or not discordant > 0:
        return math.nan
    test, beyond = _z(level) * math.sqrt(discordant), NormalDist().inv_cdf(power)
    a, b, c = n + beyond**2, math.sqrt(n) * test, test**2 - beyond**2 * discordant
    root = b * b - a * c
    found = (b + math.sqrt(root)) / a + 1 / n if root >= 0 else math.nan
    return found if found <= discordant else math.nan


def resample_counts(rng: np.random.Generator, n: int, n_boot: int) -> Array:
    """(n_boot, n) how often each of n units is drawn in each resample: a matrix product then does the bootstrap."""
    drawn = rng.integers(0, n, (n_boot, n)) + n * np.arange(n_boot)[:, None]
    return np.bincount(drawn.ravel(), minlength=n_boot * n).reshape(n_boot, n).astype(np.float64)


def percentile_limits(draws: Array, level: float = LEVEL) -> tuple[float, float]:
    low, high = np.nanquantile(draws, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _z(level: float) -> float:
    return NormalDist().inv_cdf((1 + level) / 2)
