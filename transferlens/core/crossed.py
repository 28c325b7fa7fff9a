"""Means over models and images at once, for claims about other models and other images.

A value has a model (or a pair of models, or a repeat) and an image behind it, often two (a background and
what is pasted on it). Values that share a level of any of these factors are not independent. The variance of
the mean is estimated by clusters of every factor, minus those of every two factors together, and so on
(inclusion and exclusion: Cameron, Gelbach and Miller 2011), with Student's quantiles for as many degrees of
freedom as the factors leave (Satterthwaite 1946): few models make wide intervals, whatever they saw.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from transferlens.core.statistics import t_interval, two_sided_p


@dataclass(frozen=True)
class CrossedMean:
    """A mean with what is known of it; NaN where fewer than two models or two images tell of it.

    Attributes:
        value, se, df: of the mean, its standard error, and the degrees of freedom of that.
        low, high: ends of the 95 % interval.
        p: two-sided, of a mean of zero; below .05 exactly where the interval leaves zero out.
        models: how many models it rests on.
    """

    value: float
    se: float
    df: float
    low: float
    high: float
    p: float
    models: int


def crossed_mean(values: np.ndarray, weights: np.ndarray, factors: Sequence[np.ndarray]) -> CrossedMean:
    """Weighted mean of values [models, units] over models and units, both taken as drawn from many.

    Args:
        values: float[models, units]; not looked at where the weight is zero.
        weights: float[models, units], 0 where a value does not count.
        factors: int[units] each, what units share (their background, the pasted image, ...).
    """
    total = weights.sum()
    models = int((weights.sum(1) > 0).sum())
    if total == 0:
        return CrossedMean(*[np.nan] * 6, 0)
    value = float((weights * np.where(weights > 0, values, 0)).sum() / total)
    share = weights * (np.where(weights > 0, values, value) - value) / total
    row, column = np.nonzero(weights)
    levels = [row, *(np.unique(f[column], return_inverse=True)[1] for f in factors)]
    counts = [len(np.unique(level)) for level in levels]
    if min(counts) < 2:
        return CrossedMean(value, *[np.nan] * 5, models)
    share = share[row, column]
    mains = [_clustered(share, [level]) for level in levels]
    variance = sum(
        (-1) ** (size + 1) * _clustered(share, chosen)
        for size in range(1, len(levels) + 1)
        for chosen in combinations(levels, size)
    )
    # Inclusion and exclusion may overshoot; no factor alone makes more variance than all together.
    variance = max(float(variance), *mains)
    spread = sum(v**2 / (n - 1) for v, n in zip(mains, counts, strict=True))
    df = variance**2 / spread if spread > 0 else float(min(counts) - 1)
    se = float(np.sqrt(variance))
    interval = t_interval(np.float64(value), np.float64(se), df)
    p = float(two_sided_p(np.float64(value), np.float64(se), df))
    return CrossedMean(value, se, float(df), float(interval.low), float(interval.high), p, models)


def _clustered(share: np.ndarray, levels: Sequence[np.ndarray]) -> float:
    """Variance of a sum of shares [n] by clusters of those that have all these levels in common."""
    key = np.zeros(len(share), np.int64)
    for level in levels:
        key = key * (level.max() + 1) + level
    sums = np.bincount(np.unique(key, return_inverse=True)[1], share)
    return float(len(sums) / (len(sums) - 1) * np.square(sums).sum()) if len(sums) > 1 else 0.0
