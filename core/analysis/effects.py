"""The effects that regimes are decided from, each with an interval, on one budget's table of plans and items.

Pure numpy (one scipy call); what the effects mean is decided in regimes.py.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.analysis.statistics import LEVEL, UNDEFINED, Array, Interval, percentile_limits, resample_counts

MIN_PLANS = 8  # below this many distinct random plans a correlation says nothing
BLOCK = 100  # resamples at a time: bounds the memory at BLOCK x plans


@dataclass(frozen=True)
class Draws:
    """An effect with its resampled values, from which its interval and statements about orderings come.

    The draws are centred on the estimate: resampling items adds noise of its own, which pulls every resampled
    correlation towards zero, and that pull is no part of the uncertainty.
    """

    value: float
    draws: Array

    @classmethod
    def centred(cls, value: float, draws: Array) -> "Draws":
        if np.isnan(value) or np.isnan(draws).mean() > 0.5:
            return cls(float("nan"), np.full(len(draws), np.nan))
        return cls(value, draws + (value - np.nanmedian(draws)))

    def interval(self, level: float = LEVEL, bound: float = np.inf) -> Interval:
        if np.isnan(self.value):
            return UNDEFINED
        low, high = percentile_limits(self.draws, level)
        return Interval(self.value, max(low, -bound), min(high, bound))


def rank_and_structure(
    correct: NDArray[np.bool_], similarity: Array, longest_run: Array, n_boot: int, seed: int
) -> tuple[Draws, Draws]:
    """Partial Spearman correlations of the score with similarity (given the run) and with the run (given similarity).

    Plans and items are both resampled, independently (the pigeonhole bootstrap, Owen 2007): an effect must hold for
    other plans *and* other items. Resampling plans alone finds effects that are accidents of the items at hand, because
    plans that share dropped layers fail on the same items.

    Args:
        correct: (P, I) outcomes of the random ensemble, every plan distinct.
        similarity, longest_run: (P,) of the plans.
    Returns:
        The rank effect and the structure effect; undefined where the plans are too few or do not vary.
    """
    n_plans, n_items = correct.shape
    undefined = Draws(float("nan"), np.full(n_boot, np.nan))
    if n_plans < MIN_PLANS:
        return undefined, undefined
    rng = np.random.default_rng(seed)
    x, z = _ranks(similarity[None])[0], _ranks(longest_run[None])[0]
    outcomes = correct.astype(np.float64)
    points = _partials(_ranks(outcomes.mean(1)[None]), x, z, np.ones((1, n_plans)))
    blocks = []
    for start in range(0, n_boot, BLOCK):
        size = min(BLOCK, n_boot - start)
        scores = resample_counts(rng, n_items, size) @ outcomes.T  # (B, P)
        blocks.append(_partials(_ranks(scores), x, z, resample_counts(rng, n_plans, size)))
    rank, structure = (np.concatenate(parts) for parts in zip(*blocks, strict=True))
    return Draws.centred(float(points[0][0]), rank), Draws.centred(float(points[1][0]), structure)


def advantage(named: NDArray[np.bool_], ensemble: NDArray[np.bool_], n_boot: int, seed: int) -> tuple[Draws, float]:
    """Mean score of the named plans minus the random ensemble's median, paired over items.

    Args:
        named: (C, I) outcomes of the domain-aware plans; ensemble: (P, I) of the random ones, on the same items.
    Returns:
        The difference, and the share of random plans that do at least as well (counting one more, as in a permutation
        test): a fixed plan beats the median half of the time by being some other plan, so the difference alone shows
        nothing about how it was chosen.
    """
    if not len(named) or len(ensemble) < MIN_PLANS:
        return Draws(float("nan"), np.full(n_boot, np.nan)), float("nan")
    aware, random = named.mean(0), ensemble.astype(np.float64)
    value = aware.mean() - np.median(random.mean(1))
    as_good = (1 + int((random.mean(1) >= aware.mean() - 1e-12).sum())) / (1 + len(random))
    rng = np.random.default_rng(seed)
    draws = []
    for start in range(0, n_boot, BLOCK):
        counts = resample_counts(rng, len(aware), min(BLOCK, n_boot - start)) / len(aware)  # (B, I)
        draws.append(counts @ aware - np.median(counts @ random.T, axis=1))
    return Draws.centred(float(value), np.concatenate(draws)), as_good


def spread(correct: NDArray[np.bool_], level: float = LEVEL) -> Interval:
    """Standard deviation between plans' true scores: the observed one minus what sampling noise explains.

    Two-way analysis of variance on the same items (for right or wrong, Cochran's Q): Q = (C - 1) MS_plans / MS_residual
    is noncentral chi-squared, its noncentrality is the spread, and its distribution is inverted for the interval. The
    lower limit is 0 exactly where Cochran's test does not reject.

    Args:
        correct: (C, I) outcomes of distinct plans, one or more per criterion.
    """
    from scipy.optimize import brentq
    from scipy.stats import chi2, ncx2

    n_plans, n_items = correct.shape
    if n_plans < 2 or n_items < 2:
        return UNDEFINED
    x = correct.astype(np.float64)
    residual = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
    noise = (residual**2).sum() / ((n_plans - 1) * (n_items - 1))  # variance of one outcome
    if noise == 0:  # the plans agree on every item, or differ on all of them alike
        value = float(x.mean(1).std(ddof=1))
        return Interval(value, value, value)
    df = n_plans - 1
    q = float(n_items * x.mean(1).var(ddof=1) * df / noise)

    def noncentrality(q: float, share: float) -> float:
        if chi2.cdf(q, df) <= share:
            return 0.0
        return float(brentq(lambda nc: ncx2.cdf(q, df, nc) - share, 1e-12, 4 * q + 40 * df))

    tail = (1 - level) / 2
    # The upper limit is that of a typical flat table at least: plans that agree by luck do not make the test sharper.
    low, high = noncentrality(q, 1 - tail), noncentrality(max(q, df), tail)
    value, low, high = (float(np.sqrt(nc * noise / (n_items * df))) for nc in (max(q - df, 0.0), low, high))
    return Interval(value, min(low, value), max(high, value))


def _ranks(values: Array) -> Array:
    """Average ranks along the last axis."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=-1), np.float64)


def _partials(y: Array, x: Array, z: Array, weights: Array) -> tuple[Array, Array]:
    """Weighted partial correlations of y with x given z, and of y with z given x, for each row.

    Args:
        y: (B, P); x, z: (P,); weights: (B, P) how often each plan counts.
    """
    total = weights.sum(1)

    def moment(a: Array, b: Array) -> Array:
        mean_a, mean_b = (weights * a).sum(1) / total, (weights * b).sum(1) / total
        return np.asarray((weights * a * b).sum(1) / total - mean_a * mean_b)

    yy, xx, zz = moment(y, y), moment(x, x), moment(z, z)

    def correlation(a: Array, b: Array, ab: Array) -> Array:
        defined = (a > 1e-9) & (b > 1e-9)
        return np.asarray(np.where(defined, ab / np.sqrt(np.where(defined, a * b, 1.0)), 0.0))

    yx, yz, xz = correlation(yy, xx, moment(y, x)), correlation(yy, zz, moment(y, z)), correlation(xx, zz, moment(x, z))

    def partial(r: Array, other: Array, spread_of: Array) -> Array:
        """Correlation with the control taken out; undefined without variance, or where the two cannot be told apart."""
        left = (1 - other**2) * (1 - xz**2)
        defined = (left > 1e-6) & (spread_of > 1e-9) & (yy > 1e-9)
        return np.where(defined, (r - other * xz) / np.sqrt(np.where(defined, left, 1.0)), np.nan)

    return partial(yx, yz, xx), partial(yz, yx, zz)
