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
from transferlens.estimation import crossfit, estimators
from transferlens.estimation.contributions import Contributions
from transferlens.estimation.crossfit import FOLDS, Folds


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

    Both folds are told on the same images, and where they chose alike, each reports what made it choose: the
    errors of the two are taken as one, which is the most that they can be.

    Args:
        masks: bool[models, units].
        outputs: float[models, images] of the report half, of every recipe, the plain one first.
        weights: float64[images], what each counts.
        classes: as `choose` gives them.
    """
    of_class = np.full((3, len(outputs), *classes.shape), np.nan)
    means = []
    for fold, chosen in enumerate(classes):
        others = folds.of_model != fold
        made = Contributions(folds.estimator, masks[others])
        added = np.stack([[made.of(of[others], unit) for of in outputs] for unit in chosen])
        for rank, of_unit in enumerate(added):
            single = _over_models_and_images(of_unit, weights, made.df)
            of_class[:, :, fold, rank] = single.value, single.low, single.high
        means.append(_over_models_and_images(with_differences(added.mean(0)), weights, made.df))
    value, se, df = (np.stack([getattr(mean, name) for mean in means]) for name in ("value", "se", "df"))
    return Harmful(classes, of_class, by_recipe(*crossfit.average(value, se, df, same=True)))


def _over_models_and_images(values: np.ndarray, weights: np.ndarray, df: float) -> CrossedMeans:
    """Means of contributions [quantities, observations, images]."""
    shared = np.broadcast_to(weights, values.shape[1:])
    return crossed_means(values, shared, [np.arange(len(weights))], df)


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
