"""Do the classes that move a layer also change what models do? Rank correlations of effects over classes.

The drift and the accuracy of one model err alike: one that happens to learn more moves further. Effects on
both that are estimated from the same models are therefore correlated even where no class does anything. So
effects on one come from one fold of the draws of masks and effects on the other from the other, whose errors
are not each other's; both ways round are averaged. Errors draw the correlation towards zero. How far
is read off the reliabilities, the same correlations between two folds' estimates of one kind of effect.
"""

from dataclasses import dataclass

import numpy as np

from transferlens.core.statistics import centred_ranks, correlation_interval, permutation_p

# Classes of which a correlation and its interval can be had.
FEWEST_CLASSES = 4
PERMUTATIONS = 9999


@dataclass(frozen=True)
class Correlations:
    """Rank correlations over classes, float64 each, of one shape.

    NaN where an effect is undefined, or the same for all classes.

    Attributes:
        low, high: 95 % intervals, for other classes: a jackknife over these on Fisher's scale.
        p: two-sided, from permutations of the classes.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


def across_folds(drift: np.ndarray, outcome: np.ndarray, rng: np.random.Generator) -> Correlations:
    """Of drift effects [folds, ..., units] of each fold with outcome effects (likewise) of the other."""
    return _correlations(drift, outcome[::-1], rng)


def reliability(effects: np.ndarray, rng: np.random.Generator) -> Correlations:
    """Of effects [folds, ..., units] of one fold with those of the other."""
    return _correlations(effects[:1], effects[1:], rng)


def _correlations(first: np.ndarray, second: np.ndarray, rng: np.random.Generator) -> Correlations:
    """Of the units of each fold, averaged over folds: effects [folds, ..., units] each."""
    units, shape = first.shape[-1], first.shape[1:-1]
    if units < FEWEST_CLASSES:
        return Correlations(*np.full((4, *shape), np.nan))
    x, y = (_scaled(of.reshape(len(of), -1, units)) for of in (first, second))
    by_fold = (x * y).sum(-1)
    value = by_fold.mean(0)
    interval = correlation_interval(value, _without_each(x, y, by_fold).mean(0).T)
    orders = rng.permuted(np.tile(np.arange(units), (PERMUTATIONS, 1)), axis=1)
    permuted = np.stack([_permuted(x[:, cell], y[:, cell], orders) for cell in range(len(value))], axis=1)
    p = np.where(np.isnan(value), np.nan, permutation_p(np.abs(value), np.abs(permuted)))
    return Correlations(*(part.reshape(shape) for part in (value, interval.low, interval.high, p)))


def _scaled(effects: np.ndarray) -> np.ndarray:
    """Ranks over units of effects [folds, cells, units], of mean 0 and length 1; NaN where these are constant
    or undefined."""
    ranks = centred_ranks(effects)
    length = np.sqrt(np.square(ranks).sum(-1, keepdims=True))
    ranks = np.divide(ranks, length, out=np.full(ranks.shape, np.nan), where=length > 0)
    return np.where(np.isnan(effects).any(-1, keepdims=True), np.nan, ranks)


def _without_each(x: np.ndarray, y: np.ndarray, value: np.ndarray) -> np.ndarray:
    """Pearson's correlations of scaled ranks [folds, cells, units] without each unit, whose ranks are kept:
    sums over all units are 0 and 1, so that what a unit adds to them is all that must be taken out."""
    share = x.shape[-1] / (x.shape[-1] - 1)
    left = (1 - share * x**2) * (1 - share * y**2)
    return (value[..., None] - share * x * y) / np.sqrt(left)


def _permuted(x: np.ndarray, y: np.ndarray, orders: np.ndarray) -> np.ndarray:
    """Mean correlations float64[permutations] of scaled ranks [folds, units] with the units of y in orders
    int[permutations, units], the same in both folds."""
    return np.mean([of[orders] @ own for own, of in zip(x, y, strict=True)], axis=0)
