"""Means over models and images at once, for claims about other models and other images.

A value has a model (or a pair of models, or a repeat) and an image behind it, often two (a background and
what is pasted on it). Values that share a level of any of these factors are not independent. The variance of
the mean is estimated by clusters of every factor, minus those of every two factors together, and so on
(inclusion and exclusion: Cameron, Gelbach and Miller 2011), with Student's quantiles for as many degrees of
freedom as the factors leave (Satterthwaite 1946): few models make wide intervals, whatever they saw.

Where models or images make most of the variance, as they do in practice, intervals cover what they should
from three models on. Where each value is noise of its own, they are too wide: the more so, the fewer models.
Of two models the degrees of freedom are one, which makes them safe, and very wide.
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


@dataclass(frozen=True)
class CrossedMeans:
    """Several means at once; every attribute as of `CrossedMean`, float64 of one shape."""

    value: np.ndarray
    se: np.ndarray
    df: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def crossed_mean(values: np.ndarray, weights: np.ndarray, factors: Sequence[np.ndarray]) -> CrossedMean:
    """Weighted mean of values [models, units] over models and units, both taken as drawn from many.

    Args:
        values: float64[models, units]; not looked at where the weight is zero.
        weights: float64[models, units], 0 where a value does not count.
        factors: int[units] each, what units share (their background, the pasted image, ...).
    """
    return _only(crossed_means(values[None], weights, factors), weights > 0)


def crossed_means(
    values: np.ndarray, weights: np.ndarray, factors: Sequence[np.ndarray], df: float | None = None
) -> CrossedMeans:
    """Means of several quantities [quantities, models, units] of the same weights: see `crossed_mean`.

    Args:
        df: degrees of freedom that the models leave, where something was fitted to them; by default one less
            than there are.
    """
    counted = weights * np.where(weights > 0, values, 0)
    return _ratios(counted, weights, weights > 0, factors, df)


def crossed_ratio(
    numerators: np.ndarray, denominators: np.ndarray, factors: Sequence[np.ndarray]
) -> CrossedMean:
    """The sum of numerators [models, units] over that of denominators, both taken as drawn from many.

    Args:
        numerators, denominators: float64[models, units], all of which count.
        factors: as of `crossed_mean`.
    """
    present = np.ones(numerators.shape, bool)
    return _only(_ratios(numerators[None], denominators, present, factors), present)


def _only(means: CrossedMeans, present: np.ndarray) -> CrossedMean:
    """The single one of some means, of what is present bool[models, units]."""
    return CrossedMean(*(float(v[0]) for v in vars(means).values()), int(present.any(1).sum()))


def _ratios(
    numerators: np.ndarray,
    denominators: np.ndarray,
    present: np.ndarray,
    factors: Sequence[np.ndarray],
    df: float | None = None,
) -> CrossedMeans:
    """Sums of numerators [quantities, models, units] over those of denominators [models, units].

    Args:
        present: bool[models, units], what counts; the rest is zero in both.
    """
    unknown, total = np.full(len(numerators), np.nan), denominators.sum()
    if total == 0:
        return CrossedMeans(*[unknown] * 6)
    value = numerators.sum((1, 2)) / total
    row, column = np.nonzero(present)
    levels = [row, *(np.unique(f[column], return_inverse=True)[1] for f in factors)]
    counts = [len(np.unique(level)) for level in levels]
    if min(counts) < 2:
        return CrossedMeans(value, *[unknown] * 5)
    # What each value adds to the ratio's deviation from the true one, to first order: [quantities, present].
    share = ((numerators - value[:, None, None] * denominators) / total)[:, row, column]
    mains = [_clustered(share, [level]) for level in levels]
    variance = sum(
        (-1) ** (size + 1) * _clustered(share, chosen)
        for size in range(1, len(levels) + 1)
        for chosen in combinations(levels, size)
    )
    free = [counts[0] - 1 if df is None else df, *(n - 1 for n in counts[1:])]
    return CrossedMeans(value, *_told(value, variance, mains, free))


def centred_class_means(values: np.ndarray, labels: np.ndarray, classes: int) -> CrossedMeans:
    """Means over the images of each class, minus the mean of all classes' means; NaN without any model.

    Models and, within their class, images are taken as drawn from many; the classes are these.

    Args:
        values: float64[models, images, columns].
        labels: int64[images]; every class has an image.
    """
    models, _, columns = values.shape
    if models == 0:
        return CrossedMeans(*np.full((6, classes, columns), np.nan))
    of_classes = [values[:, labels == c] for c in range(classes)]
    of_models = np.stack([of.mean(1) for of in of_classes], axis=1)
    of_models -= of_models.mean(1, keepdims=True)
    value = of_models.mean(0)
    if models == 1:
        return CrossedMeans(value, *np.full((5, classes, columns), np.nan))
    counts = np.array([of.shape[1] for of in of_classes])
    # Variances of each class's mean over images, and of what images and models add to it together.
    images, both = np.zeros((2, classes, columns))
    for c, of in enumerate(of_classes):
        if counts[c] > 1:
            over_models = of.mean(0)
            images[c] = over_models.var(0, ddof=1) / counts[c]
            rest = of - of.mean(1, keepdims=True) - over_models + over_models.mean(0)
            both[c] = (rest**2).sum((0, 1)) / ((models - 1) * (counts[c] - 1) * models * counts[c])
    # A class's effect is (1 - 1 / classes) of its own mean, and -1 / classes of each other's.
    images, both = ((1 - 2 / classes) * of + of.sum(0) / classes**2 for of in (images, both))
    of_models = of_models.var(0, ddof=1) / models
    free = [models - 1, (counts - 1).clip(1)[:, None]]
    return CrossedMeans(value, *_told(value, of_models + images - both, [of_models, images], free))


def _told(
    value: np.ndarray, variance: np.ndarray, mains: Sequence[np.ndarray], free: Sequence[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """Standard errors, degrees of freedom, ends of the intervals and p-values of estimates [...].

    Args:
        variance: by all factors together.
        mains: by each factor alone, models first.
        free: degrees of freedom of each of these.
    """
    # Inclusion and exclusion may overshoot; no factor alone makes more variance than all together.
    variance = np.maximum(variance, np.max(mains, axis=0))
    spread = sum(main**2 / n for main, n in zip(mains, free, strict=True))
    df = np.divide(variance**2, spread, out=np.ones(np.shape(value)), where=spread > 0)
    if free[0] < 2:
        df = np.minimum(df, 1)  # of two models the spread may be small by chance, unnoticed
    # Values that do not differ at all tell nothing of how others would.
    same = variance <= (1e-9 * value) ** 2
    se = np.where(same, np.nan, np.sqrt(variance))
    interval = t_interval(value, se, df)
    return se, df, interval.low, interval.high, np.where(same, np.nan, two_sided_p(value, se, df))


def _clustered(share: np.ndarray, levels: Sequence[np.ndarray]) -> np.ndarray:
    """Variances of sums of shares [quantities, n], by clusters of those that share all these levels."""
    key = np.zeros(share.shape[1], np.int64)
    for level in levels:
        key = key * (level.max() + 1) + level
    order = np.argsort(key, kind="stable")
    starts = np.flatnonzero(np.diff(key[order], prepend=-1))
    if len(starts) < 2:
        return np.zeros(len(share))
    sums = np.add.reduceat(share[:, order], starts, axis=1)
    return len(starts) / (len(starts) - 1) * np.square(sums).sum(1)
