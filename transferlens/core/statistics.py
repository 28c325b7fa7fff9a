"""Intervals, tests, corrections, bootstraps, rank correlations and ROC areas, shared by every room."""

from dataclasses import dataclass

import numpy as np
import scipy  # its statistics load at their first use: they take a second, which planning can spare


@dataclass(frozen=True)
class Interval:
    """Estimates with their two-sided intervals, of 95 % if nothing else is said (arrays of one shape, or
    scalars).
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def t_interval(
    value: np.ndarray, se: np.ndarray, df: np.ndarray | float, confidence: float = 0.95
) -> Interval:
    """Student's interval from a standard error and its degrees of freedom."""
    reach = scipy.stats.t.ppf((1 + confidence) / 2, df) * se
    return Interval(value, value - reach, value + reach)


def mean_interval(values: np.ndarray) -> Interval:
    """Mean over the last axis, whose entries are independent."""
    n = values.shape[-1]
    return t_interval(values.mean(-1), values.std(-1, ddof=1) / np.sqrt(n), n - 1)


def jackknife_interval(value: float, without: np.ndarray) -> Interval:
    """From the leave-one-out values float64[units]."""
    return t_interval(np.float64(value), jackknife_se(without), len(without) - 1)


def correlation_interval(value: float, without: np.ndarray) -> Interval:
    """Of a correlation, from its leave-one-out values float64[units]: a jackknife on Fisher's scale."""
    made = jackknife_interval(fisher(value), fisher(without))
    return Interval(np.float64(value), np.tanh(made.low), np.tanh(made.high))


def jackknife_se(without: np.ndarray) -> np.ndarray:
    """Standard errors [...] of estimates from their leave-one-out values [units, ...]."""
    n = len(without)
    return np.sqrt((n - 1) / n * np.sum((without - without.mean(0)) ** 2, axis=0))


def fisher(correlation: np.ndarray) -> np.ndarray:
    """Fisher's transform of correlations, finite for perfect ones, too."""
    return np.arctanh(np.clip(correlation, -1 + 1e-9, 1 - 1e-9))


def two_sided_p(effect: np.ndarray, se: np.ndarray, df: np.ndarray | float) -> np.ndarray:
    """Student's p-values of a zero effect; 1 for an effect of exactly zero, 0 for any other without error."""
    certain = np.where(effect == 0, 0.0, np.inf)
    t = np.divide(np.abs(effect), se, out=certain, where=se > 0)
    return 2 * scipy.stats.t.sf(t, df)


def q_values(p: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values over all cells of the array; NaN, not counted, where p is NaN."""
    q, tested = np.full(p.shape, np.nan), ~np.isnan(p)
    if tested.any():
        q[tested] = scipy.stats.false_discovery_control(p[tested])
    return q


def holm(p: np.ndarray) -> np.ndarray:
    """Holm's (1979) adjusted p-values [n]: any is below .05 by chance in one of 20 tables; NaN where p is."""
    adjusted, tested = np.full(p.shape, np.nan), np.flatnonzero(~np.isnan(p))
    order = tested[np.argsort(p[tested])]
    steps = p[order] * np.arange(len(order), 0, -1)
    adjusted[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return adjusted


def permutation_p(observed: np.ndarray, permuted: np.ndarray) -> np.ndarray:
    """Share of statistics [permutations, ...] at least as large as the observed one [...], itself counted.

    One that differs by rounding only counts as equal.
    """
    least = observed - 1e-9 * np.abs(observed)
    return (1 + (permuted >= least).sum(0)) / (1 + len(permuted))


def dense_ranks(values: np.ndarray) -> np.ndarray:
    """The place of each of values [n] among the distinct ones, from 0, int64[n]."""
    return np.unique(values, return_inverse=True)[1]


def roc_area(place: np.ndarray, positive: np.ndarray, weights: np.ndarray) -> float:
    """Area under the ROC curve: how probably a positive case lies above a negative one, ties counting half.

    Args:
        place: int64[n], dense ranks of the scores; the same for all replicates of a bootstrap.
        positive: bool[n].
        weights: [n], how often each case counts.
    """
    above = np.bincount(place, weights * positive)
    below = np.bincount(place, weights * ~positive)
    return (above * (below.cumsum() - below / 2)).sum() / (above.sum() * below.sum())


def centred_ranks(values: np.ndarray) -> np.ndarray:
    """Ranks along the last axis minus their mean, float64; ties share the mean of theirs."""
    ranks = scipy.stats.rankdata(values, axis=-1)
    return ranks - (ranks.shape[-1] + 1) / 2


def rank_correlations(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Spearman's correlations float64[n] of the rows of two arrays [n, m]; NaN where one is constant."""
    a, b = centred_ranks(first), centred_ranks(second)
    scale = np.sqrt((a**2).sum(1) * (b**2).sum(1))
    return np.divide((a * b).sum(1), scale, out=np.full(len(a), np.nan), where=scale > 0)


def bootstrap_counts(units: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """How often each unit is drawn in each replicate of a bootstrap, int64[replicates, units].

    One fewer is drawn than there are (Rao and Wu 1988): else the variance of the mean of n units comes out as
    (n - 1) / n of what it is, half of it for two models.
    """
    drawn = rng.integers(0, units, (replicates, max(units - 1, 1)))
    drawn += units * np.arange(replicates)[:, None]
    return np.bincount(drawn.ravel(), minlength=replicates * units).reshape(replicates, units)


def percentile_interval(value: np.ndarray, replicates: np.ndarray) -> Interval:
    """From bootstrap replicates [replicates, ...] of values [...]."""
    low, high = np.nanpercentile(replicates, [2.5, 97.5], axis=0)
    return Interval(value, low, high)
