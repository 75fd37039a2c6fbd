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
N_SIGN_FLIPS = 100_000


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


def wilson_interval(n_correct: float, n: int, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's score interval of a share (Wilson 1927); (0, 1) when nothing was scored."""
    if n == 0:
        return 0.0, 1.0
    low, high = _wilson(np.array([n_correct / n]), np.array([n]), np.array([_z(level)]))
    return float(low[0]), float(high[0])


def stratified_wilson(share: Array, n: Array, group: NDArray[np.intp], level: float = LEVEL) -> tuple[Array, Array]:
    """Intervals of means of shares, each share weighing the same: Wilson's, stratified (Yan and Su 2010).

    Each stratum's interval is taken at a smaller z, so that their mean has the wanted level. With one stratum a group
    this is Wilson's interval.

    Args:
        share, n: (R,) share of right answers and items of each stratum.
        group: (R,) to which of G means each stratum belongs, 0 to G - 1.
    Returns:
        Lower and upper limits, (G,) each.
    """
    z = np.full(len(n), _z(level))
    variance = _centre(share, n, z)
    variance = variance * (1 - variance) / (n + z * z)  # of the smoothed share: never 0
    strata = np.bincount(group)
    narrower = np.sqrt(np.bincount(group, variance)) / np.bincount(group, np.sqrt(variance))
    low, high = _wilson(share, n, np.where(strata[group] > 1, z * narrower[group], z))
    return np.bincount(group, low) / strata, np.bincount(group, high) / strata


def _centre(share: Array, n: Array, z: Array) -> Array:
    return np.asarray((share + z * z / (2 * n)) / (1 + z * z / n))


def _wilson(share: Array, n: Array, z: Array) -> tuple[Array, Array]:
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    centre = _centre(share, n, z)
    return np.maximum(0.0, centre - half), np.minimum(1.0, centre + half)


def disagreements(a: ArrayLike, b: ArrayLike, strata: ArrayLike | None = None) -> list[tuple[int, int, int]]:
    """Of each stratum: items that only a gets right, those that only b does, and all.

    Args:
        a, b: (n,) right or wrong, item by item.
        strata: (n,) to which stratum (benchmark) each item belongs; one stratum unless given.
    """
    x, y = np.asarray(a, bool), np.asarray(b, bool)
    if x.shape != y.shape:
        raise ValueError(f"paired outcomes differ in shape: {x.shape} and {y.shape}")
    _, codes = np.unique(np.zeros(len(x)) if strata is None else np.asarray(strata), return_inverse=True)
    n = np.bincount(codes)
    return list(
        zip(*(np.bincount(codes, v, len(n)).astype(int).tolist() for v in (x & ~y, y & ~x)), n.tolist(), strict=True)
    )


def mcnemar_exact(a_only: int, b_only: int) -> float:
    """Two-sided exact McNemar p-value from the items that only a, or only b, gets right; 1 when they never disagree."""
    from scipy.stats import binomtest

    disagreements = a_only + b_only
    return float(binomtest(a_only, disagreements).pvalue) if disagreements else 1.0


def paired_test(cells: Sequence[tuple[int, int, int]], n_draws: int = N_SIGN_FLIPS, seed: int = 0) -> float:
    """Two-sided p-value of "two plans score the same" from `disagreements`; the mean difference is the statistic.

    One stratum: exact McNemar. Several: the same null hypothesis (each disagreement falls to either side by a fair
    coin), its distribution from seeded draws, since the exact one has as many values as the product of the counts.
    """
    if len(cells) < 2:
        return mcnemar_exact(*cells[0][:2]) if cells else 1.0
    rng, drawn = np.random.default_rng(seed), np.zeros(n_draws)
    for a_only, b_only, n in cells:
        drawn += (2.0 * rng.binomial(a_only + b_only, 0.5, n_draws) - (a_only + b_only)) / n
    observed = abs(sum((a - b) / n for a, b, n in cells))
    return float((1 + (np.abs(drawn) >= observed - 1e-12).sum()) / (1 + n_draws))


def paired_bootstrap(
    a: ArrayLike,
    b: ArrayLike,
    strata: ArrayLike | None = None,
    level: float = LEVEL,
    n_boot: int = N_BOOTSTRAP,
    seed: int = 0,
) -> Interval:
    """Score of a minus score of b on the same items, the mean over strata, with its seeded percentile bootstrap.

    Resampling the items of a stratum moves only how many of them a alone, or b alone, gets right; those counts are
    drawn directly.

    Args:
        a, b, strata: as `disagreements` takes them.
    """
    cells = disagreements(a, b, strata)
    if not cells:
        return UNDEFINED
    rng, value, draws = np.random.default_rng(seed), 0.0, np.zeros(n_boot)
    for a_only, b_only, n in cells:
        drawn = rng.multinomial(n, np.array([a_only, b_only, n - a_only - b_only]) / n, n_boot)
        value += (a_only - b_only) / n
        draws += (drawn[:, 0] - drawn[:, 1]) / n
    return Interval(value / len(cells), *percentile_limits(draws / len(cells), level))


def effective_n(sizes: ArrayLike) -> int:
    """Items of one stratum whose mean would be as certain as the mean over strata of these sizes; n for one."""
    n = np.asarray(sizes, np.float64)
    return int(len(n) ** 2 / (1 / n).sum() + 1e-9) if len(n) else 0


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
