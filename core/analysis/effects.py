"""The effects that regimes are decided from, each with an interval, on one budget's table of plans and items.

Pure numpy (a few scipy calls); what the effects mean is decided in regimes.py.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from core.analysis.statistics import LEVEL, UNDEFINED, Array, Interval, percentile_limits, resample_counts

MIN_PLANS = 8  # below this many distinct random plans a correlation says nothing
BLOCK = 100  # resamples at a time: bounds the memory at BLOCK x items
STRONGEST = 0.999  # a resample of few plans can be perfectly ordered, which Fisher's scale has no number for


@dataclass(frozen=True)
class Draws:
    """An effect with its resampled values, from which its interval and statements about orderings come.

    The draws are centred on the estimate: resampling items adds noise of its own, which pulls every resampled
    correlation towards zero, and that pull is no part of the uncertainty.
    """

    value: float
    draws: Array

    @classmethod
    def undefined(cls, n_boot: int) -> "Draws":
        return cls(float("nan"), np.full(n_boot, np.nan))

    @classmethod
    def centred(cls, value: float, draws: Array) -> "Draws":
        if np.isnan(value) or np.isnan(draws).mean() > 0.5:
            return cls.undefined(len(draws))
        return cls(value, draws + (value - np.nanmedian(draws)))

    @property
    def defined(self) -> bool:
        return not np.isnan(self.value)

    def interval(self, level: float = LEVEL) -> Interval:
        return Interval(self.value, *percentile_limits(self.draws, level)) if self.defined else UNDEFINED


Strata = Sequence[NDArray[np.bool_]]  # of each benchmark (P, I): outcomes of the same plans on its items


def plan_scores(strata: Strata) -> Array:
    """(P,) scores of the plans: the mean over benchmarks; NaN where there is no item."""
    return np.asarray(np.mean([x.mean(1) if x.shape[1] else np.full(len(x), np.nan) for x in strata], axis=0))


def resampled_scores(strata: Strata, n_boot: int, seed: int) -> Array:
    """(B, P) scores on items resampled within each benchmark; a seed draws the same items, whatever the plans."""
    rng = np.random.default_rng([seed, 0])
    sizes = [min(BLOCK, n_boot - start) for start in range(0, n_boot, BLOCK)]
    total = np.zeros((n_boot, len(strata[0])))
    for correct in strata:
        right, n_items = correct.T.astype(np.float32), correct.shape[1]  # exact: counts stay far below 2^24
        if not n_items:
            return np.full_like(total, np.nan)
        counts = [resample_counts(rng, n_items, size).astype(np.float32) @ right for size in sizes]
        # divided last, so that equal counts stay ties
        total += np.concatenate(counts).astype(np.float64) / n_items
    return total / len(strata)


def rank_and_structure(
    scores: Array, resampled: Array, similarity: Array, longest_run: Array, seed: int
) -> tuple[Draws, Draws]:
    """Partial Spearman correlations of the score with similarity (given the run) and with the run (given similarity).

    Plans and items are both resampled, independently (the pigeonhole bootstrap, Owen 2007): an effect must hold for
    other plans *and* other items. Resampling plans alone finds effects that are accidents of the items at hand, because
    plans that share dropped layers fail on the same items.

    Args:
        scores: (P,) of the random ensemble, every plan distinct. resampled: (B, P) the same on resampled items.
        similarity, longest_run: (P,) of the plans.
    Returns:
        The rank effect and the structure effect on Fisher's scale (arctanh of the correlation), where a correlation's
        uncertainty does not depend on its size; undefined where the plans are too few or do not vary.
    """
    n_boot, n_plans = resampled.shape
    if n_plans < MIN_PLANS or np.isnan(scores).any():
        return Draws.undefined(n_boot), Draws.undefined(n_boot)
    counts = resample_counts(np.random.default_rng([seed, 1]), n_plans, n_boot)
    x, z = _ranks(similarity), _ranks(longest_run)
    points = _partials(_ranks(scores[None]), x, z, np.ones((1, n_plans)))
    draws = _partials(_ranks(resampled), x, z, counts)
    rank, structure = (Draws.centred(float(p[0]), d) for p, d in zip(points, draws, strict=True))
    return rank, structure


def advantage(
    scores: Array, resampled: Array, named: NDArray[np.intp], ensemble: NDArray[np.intp]
) -> tuple[Draws, float]:
    """Mean score of the named plans minus the random ensemble's median, paired over items.

    Args:
        scores: (P,) of all plans. resampled: (B, P) the same on resampled items.
        named, ensemble: indices of the domain-aware plans and of the random ones.
    Returns:
        The difference, and the share of random plans that do at least as well (counting one more, as in a permutation
        test): a fixed plan beats the median half of the time by being some other plan, so the difference alone shows
        nothing about how it was chosen.
    """
    if not len(named) or len(ensemble) < MIN_PLANS or np.isnan(scores).any():
        return Draws.undefined(len(resampled)), float("nan")
    aware, random = scores[named].mean(), scores[ensemble]
    as_good = (1 + int((random >= aware - 1e-12).sum())) / (1 + len(random))
    draws = resampled[:, named].mean(1) - np.median(resampled[:, ensemble], axis=1)
    return Draws.centred(float(aware - np.median(random)), draws), as_good


def spread(strata: Strata, level: float = LEVEL) -> Interval:
    """Standard deviation between plans' true scores: the observed one minus what sampling noise explains.

    Two-way analysis of variance on the same items (for right or wrong, Cochran's Q): Q = (C - 1) MS_plans / MS_residual
    is noncentral chi-squared, its noncentrality is the spread, and its distribution is inverted for the interval. The
    lower limit is 0 exactly where Cochran's test does not reject. Over several benchmarks the noise of a score is
    that of a mean of independent means.

    Args:
        strata: outcomes of distinct plans, one or more per criterion.
    """
    from scipy.optimize import brentq
    from scipy.special import chdtr, chndtr  # chi2.cdf and ncx2.cdf without their checks, twenty times faster

    n_plans = len(strata[0])
    if n_plans < 2 or min(x.shape[1] for x in strata) < 2:
        return UNDEFINED
    scores, noise = plan_scores(strata), 0.0  # noise: variance of a plan's score
    for correct in strata:
        x, n_items = correct.astype(np.float64), correct.shape[1]
        residual = x - x.mean(0) - x.mean(1, keepdims=True) + x.mean()
        noise += (residual**2).sum() / ((n_plans - 1) * (n_items - 1)) / n_items / len(strata) ** 2
    if noise == 0:  # the plans agree on every item, or differ on all of them alike
        value = float(scores.std(ddof=1))
        return Interval(value, value, value)
    df = n_plans - 1
    q = float(scores.var(ddof=1) * df / noise)

    def noncentrality(q: float, share: float) -> float:
        if chdtr(df, q) <= share:
            return 0.0
        return float(brentq(lambda nc: chndtr(q, df, nc) - share, 1e-12, 4 * q + 40 * df))

    tail = (1 - level) / 2
    # The upper limit is that of a typical flat table at least: plans that agree by luck do not make the test sharper.
    low, high = noncentrality(q, 1 - tail), noncentrality(max(q, df), tail)
    value, low, high = (float(np.sqrt(nc * noise / df)) for nc in (max(q - df, 0.0), low, high))
    return Interval(value, min(low, value), max(high, value))


def disagreement(strata: Strata) -> float:
    """Share of items that exactly one of two plans gets right, over all pairs of plans; NaN without a pair."""
    n_plans = len(strata[0])
    if n_plans < 2 or not all(x.shape[1] for x in strata):
        return float("nan")
    right = [x.sum(0).astype(np.float64) for x in strata]
    return float(np.mean([(r * (n_plans - r)).mean() for r in right]) * 2 / (n_plans * (n_plans - 1)))


def _ranks(values: Array) -> Array:
    """Average ranks along the last axis."""
    from scipy.stats import rankdata

    return np.asarray(rankdata(values, axis=-1), np.float64)


def _partials(y: Array, x: Array, z: Array, weights: Array) -> tuple[Array, Array]:
    """Weighted partial correlations of y with x given z, and of y with z given x, for each row, on Fisher's scale.

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
        r = (r - other * xz) / np.sqrt(np.where(defined, left, 1.0))
        return np.where(defined, np.arctanh(np.clip(r, -STRONGEST, STRONGEST)), np.nan)

    return partial(yx, yz, xx), partial(yz, yx, zz)
