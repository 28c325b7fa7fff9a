"""Influence of the source classes that harm most under the plain recipe, under every recipe.

Half of the draws of models (a fold) choose the classes, on the select half of the images; the other half of
the draws tell what these classes do, on the report half, under every recipe; and the other way round. What
looked harmful by chance to the models that chose does not to the others.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transferlens.core.crossed import CrossedMeans, crossed_means
from transferlens.core.statistics import t_interval, two_sided_p
from transferlens.estimation import estimators
from transferlens.estimation.contributions import Contributions
from transferlens.estimation.crossfit import FOLDS, Folds

# Two folds that choose for each other err alike: a class that luck makes harmful in one fold is chosen by it,
# and told of it where the other one chose it, too. With G the covariances of classes' errors and their being
# chosen, the reports covary by tr(GG) / k^2, for k classes. Of normal errors no event of probability p goes
# with them more than a half-space does, so that a column of G is at most f(p) long, the normal density at the
# quantile p. So their correlation is at most the largest of f(p)^2 / p, whatever the effects are.
_ALIKE = 0.41


@dataclass(frozen=True)
class Told:
    """Estimates by recipe, and their differences to the first recipe; every attribute float64[2, recipes].

    The first row holds the estimates, the second the differences; the first recipe has no difference.
    """

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray


@dataclass(frozen=True)
class Harmful:
    """What was chosen, and what was reported of it.

    Attributes:
        classes: int64[folds, ranks], the units that each fold chose, the most harmful first.
        of_class: of single classes, by the fold that did not choose them: float64[3, recipes, folds, ranks],
            values and both ends of their intervals.
        mean: of all of them.
    """

    classes: np.ndarray
    of_class: np.ndarray
    mean: Told


def choose(masks: np.ndarray, accuracy: np.ndarray, folds: Folds, count: int) -> np.ndarray:
    """The units that lower accuracy most, by each fold's models: int64[folds, ranks].

    Args:
        masks: bool[models, units].
        accuracy: float64[models], under the plain recipe, on the select half.
        count: how many; all, if there are no more.
    """
    chosen = []
    for fold in range(FOLDS):
        own = folds.of_model == fold
        outputs = accuracy[own, None]
        effect = estimators.make(folds.estimator, masks[own], outputs).coefficients(outputs)[0]
        chosen.append(np.argsort(effect, kind="stable")[:count])
    return np.stack(chosen)


def report(
    masks: np.ndarray, outputs: Sequence[np.ndarray], weights: np.ndarray, folds: Folds, classes: np.ndarray
) -> Harmful:
    """What the other fold's models tell of the chosen units, under every recipe.

    Args:
        masks: bool[models, units].
        outputs: float[models, images] of the report half, of every recipe, the plain one first.
        weights: float64[images], what each counts.
        classes: as `choose` gives them.
    """
    of_class = np.full((3, len(outputs), *classes.shape), np.nan)
    told = []
    for fold, chosen in enumerate(classes):
        others = folds.of_model != fold
        made = Contributions(folds.estimator, masks[others])
        added = np.stack([[made.of(of[others], unit) for of in outputs] for unit in chosen])
        for rank, of_unit in enumerate(added):
            single = _means([of_unit], weights, made.df)
            of_class[:, :, fold, rank] = single.value, single.low, single.high
        told.append((with_differences(added.mean(0)), made.df))
    return Harmful(classes, of_class, _mean_of_folds(*zip(*told, strict=True), weights))


def _mean_of_folds(values: Sequence[np.ndarray], df: Sequence[float], weights: np.ndarray) -> Told:
    """The mean of what both folds tell, on the same images: contributions of each [quantities, ...]."""
    mean = _means(values, weights, sum(df))
    first, second = (_means([of], weights, d).se for of, d in zip(values, df, strict=True))
    return by_recipe(mean.value, np.sqrt(mean.se**2 + _ALIKE / 2 * first * second), mean.df)


def _means(values: Sequence[np.ndarray], weights: np.ndarray, df: float) -> CrossedMeans:
    """Over models and images, of contributions [quantities, observations, images] of one fold or several,
    which count alike.
    """
    shares = [weights / of.shape[1] * np.ones((of.shape[1], 1)) for of in values]
    images = [np.arange(len(weights))]
    return crossed_means(np.concatenate(values, axis=1), np.concatenate(shares), images, df)


def with_differences(values: np.ndarray) -> np.ndarray:
    """Of every recipe, and of it minus the first, in pairs: [recipes, ...] to [2 * recipes, ...]."""
    return np.concatenate([values, values - values[0]])


def by_recipe(value: np.ndarray, se: np.ndarray, df: np.ndarray) -> Told:
    """Intervals and p-values of estimates float64[2 * recipes], as `with_differences` orders them."""
    interval = t_interval(value, se, df)
    p = np.where(np.isnan(se), np.nan, two_sided_p(value, se, df))
    parts = [part.reshape(2, -1).copy() for part in (value, interval.low, interval.high, p)]
    for part in parts:
        part[1, 0] = np.nan  # the plain recipe minus itself
    return Told(*parts)
