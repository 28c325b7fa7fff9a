"""Do two measures of pairs of classes agree? Ranks, with intervals over classes and exchanges of them.

All cells of a class move together, as its images and what models made of them are common to them: intervals
and p-values are over classes, not over cells.
"""

from dataclasses import dataclass

import numpy as np

from transferlens.core.statistics import centred_ranks, correlation_interval, permutation_p


@dataclass(frozen=True)
class Agreement:
    """A statistic with its 95 % interval, and what it is if source classes are exchanged at random.

    Attributes:
        p: two-sided, from the permutations.
        n: cells or examples compared.
    """

    value: float
    low: float
    high: float
    null_mean: float
    p: float
    n: int


NOTHING = Agreement(*[np.nan] * 5, 0)


@dataclass(frozen=True)
class Resampling:
    """How often intervals are bootstrapped and classes exchanged, and by which random numbers."""

    bootstrap: int
    permutations: int
    rng: np.random.Generator


def rank_correlation(a: np.ndarray, b: np.ndarray, resampling: Resampling) -> Agreement:
    """Spearman's correlation of two measures [source classes, target classes] over the cells known in both.

    The interval is a jackknife over source classes on Fisher's scale (percentiles of a bootstrap over twenty
    classes cover too rarely), the p-value from permutations of them: all cells of a class move together.
    Ranks are those of the observed cells throughout.
    """
    known = np.isfinite(a) & np.isfinite(b)
    rows = known.any(1)
    x, y, v = _ranks(a, known)[rows], _ranks(b, known)[rows], known[rows].astype(np.float64)
    if len(x) < 3:
        return NOTHING
    # Sums over the cells that row i of x and row j of y have in common: [i, j, 6].
    pairings = np.stack([v @ v.T, x @ v.T, v @ y.T, x**2 @ v.T, v @ (y**2).T, x @ y.T], axis=2)
    own = np.diagonal(pairings).T  # [rows, 6]
    value, without = _correlation(own.sum(0)), _correlation(own.sum(0) - own)
    interval = correlation_interval(value, without)
    null = _correlation(exchanged(pairings, resampling))
    return tested(float(value), interval.low, interval.high, null, int(known.sum()))


def _ranks(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Ranks of the known cells about their mean; 0 elsewhere."""
    ranks = np.zeros(values.shape)
    ranks[known] = centred_ranks(values[known])
    return ranks


def _correlation(sums: np.ndarray) -> np.ndarray:
    """Pearson's correlation from n, x, y, xx, yy, xy on the last axis."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return (xy - x * y / n) / np.sqrt((xx - x * x / n) * (yy - y * y / n))


def exchanged(pairings: np.ndarray, resampling: Resampling) -> np.ndarray:
    """Sums over rows of [rows, rows, ...], each paired with another at random: [permutations, ...]."""
    rows = np.arange(len(pairings))
    orders = (resampling.rng.permutation(len(rows)) for _ in range(resampling.permutations))
    return np.array([pairings[rows, order].sum(0) for order in orders])


def tested(value: float, low: float, high: float, null: np.ndarray, n: int) -> Agreement:
    """With the mean of the null values, and the two-sided p-value: twice the smaller tail."""
    null = null[np.isfinite(null)]
    if not np.isfinite(value) or not len(null):
        return NOTHING
    tail = min(permutation_p(value, null), permutation_p(-value, -null))
    return Agreement(value, low, high, null.mean(), min(1.0, 2 * float(tail)), n)
