"""Do the classes that move a layer also change what models do? Rank correlations of effects over classes.

The drift and the accuracy of one model err alike: one that happens to learn more moves further. So effects on
drift and effects on what models do come from different folds of the draws (`estimation.fold_correlations`).
"""

from dataclasses import dataclass

import numpy as np

from transferlens.core.statistics import correlation_interval, permutation_p
from transferlens.estimation.fold_correlations import FEWEST_UNITS, correlation, exchanged, without_each

PERMUTATIONS = 9999


@dataclass(frozen=True)
class Correlations:
    """Rank correlations over classes, float64 each, of one shape.

    NaN where an effect is undefined, or the same for all classes; and where there are fewer than 5.

    Attributes:
        low, high: 95 % intervals, for other classes: a jackknife over these on Fisher's scale.
        p: two-sided, from exchanges of the classes of one fold.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def across_folds(one: np.ndarray, other: np.ndarray, rng: np.random.Generator) -> Correlations:
    """Of effects [folds, ..., units] on one thing and on another, each time of different folds.

    Of effects with themselves it is their reliability.
    """
    if one.shape[-1] < FEWEST_UNITS:
        return Correlations(*np.full((4, *one.shape[1:-1]), np.nan))
    value = correlation(one, other)
    interval = correlation_interval(value, without_each(one, other))
    null = exchanged(one, other, PERMUTATIONS, rng)
    tail = np.minimum(permutation_p(value, null), permutation_p(-value, -null))
    p = np.where(np.isnan(value), np.nan, np.minimum(1, 2 * tail))
    return Correlations(value, interval.low, interval.high, p)
