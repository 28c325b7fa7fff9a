"""Which images fine-tuned models fail on: how well distraction tells, beside what tells it without memories.

Areas under the ROC curve are means over pairs of models and images, both drawn from many: an area is the mean
of what each image adds to it (DeLong, DeLong and Clarke-Pearson 1988), which `core.crossed` averages.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import scipy  # its statistics load at their first use
from scipy.special import expit, logit

from transferlens.core.crossed import CrossedMean, crossed_mean
from transferlens.core.seeding import rng_for

# Random exchanges of the bindings of source classes.
PERMUTATIONS = 50
_FOLDS = 5
_LEAST = 1e-6  # probabilities are kept so far from 0 and 1 where their log-odds are taken
_RIDGE = 1e-3  # of the logistic regression, on predictors of variance 1
_STEPS = 25
NOTHING = CrossedMean(*[np.nan] * 6, 0)


def roc_parts(scores: np.ndarray, failed: np.ndarray) -> np.ndarray:
    """What each of n images adds to the area under the ROC curve: float64[n], whose mean is the area.

    Args:
        scores: float[n], the larger the likelier a failure.
        failed: bool[n], some but not all.
    """
    parts = np.zeros(len(scores))
    ranks = scipy.stats.rankdata(scores)
    fails, rights = failed.sum(), (~failed).sum()
    # Of a failure, the share of right images below it; of a right image, the share of failures above it.
    parts[failed] = (ranks[failed] - scipy.stats.rankdata(scores[failed])) / rights
    parts[~failed] = 1 - (ranks[~failed] - scipy.stats.rankdata(scores[~failed])) / fails
    area = parts[failed].mean()
    share = np.where(failed, fails, rights) / len(scores)
    return area + (parts - area) / share


@dataclass(frozen=True)
class Predictor:
    """Scores that ought to be large where models fail.

    Attributes:
        scores: float64[models, images].
        failed: bool[models, images].
        known: bool[images], where there is such a score.
    """

    scores: np.ndarray
    failed: np.ndarray
    known: np.ndarray

    def parts(self) -> tuple[np.ndarray, np.ndarray]:
        """What each image adds to each model's area, and how it weighs: float64[models, images].

        Models that fail on all or no images have no area, and no weight.
        """
        parts, weights = np.zeros((2, *self.scores.shape))
        for m, (scores, failed) in enumerate(zip(self.scores, self.failed, strict=True)):
            failed = failed[self.known]
            if failed.any() and not failed.all():
                parts[m, self.known] = roc_parts(scores[self.known], failed)
                weights[m, self.known] = 1
        return parts, weights


def area(predictor: Predictor) -> CrossedMean:
    """The area under the ROC curve, mean over models."""
    return _mean(*predictor.parts())


def mean_area(predictors: Sequence[Predictor]) -> CrossedMean:
    """The mean of the areas of several predictors of the same failures."""
    parts, weights = zip(*(p.parts() for p in predictors), strict=True)
    return _mean(np.mean(parts, axis=0), weights[0])


def _mean(parts: np.ndarray, weights: np.ndarray) -> CrossedMean:
    return crossed_mean(parts, weights, [np.arange(parts.shape[1])])


def added(trivial: Mapping[str, Predictor], distraction: Predictor, seed: int) -> CrossedMean:
    """What distraction adds to the area under the ROC curve of predictors that know nothing of memories.

    Two logistic regressions of failures, on the trivial predictors and on these with distraction, are fitted
    to other images and, where there are any, other models than those that they are tried on; what is added is
    the difference of their areas. A useless predictor makes it a little negative.

    Args:
        trivial: by name, of the same failures as `distraction`; log-odds, or anything on such a scale. Images
            without one of them are left out.
        seed: decides the folds of images.
    """
    known = np.all([distraction.known, *(p.known for p in trivial.values())], axis=0)
    columns = np.stack([*(p.scores for p in trivial.values()), distraction.scores], axis=-1)[:, known]
    failed = distraction.failed[:, known]
    if not known.any() or not failed.any() or failed.all():
        return NOTHING
    folds = rng_for(seed, "folds of images").permutation(known.sum()) % _FOLDS
    areas = []
    for used in (columns[..., :-1], columns):
        predicted = Predictor(cross_fitted(used, failed, folds), failed, np.ones(len(folds), bool))
        areas.append(predicted.parts())
    (without, weights), (with_it, _) = areas
    return _mean(with_it - without, weights)


def cross_fitted(columns: np.ndarray, failed: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Log-odds float64[models, images] of failures by a logistic regression that saw neither image nor model.

    Args:
        columns: float64[models, images, predictors].
        failed: bool[models, images].
        folds: int64[images]; a single model is fitted to itself.
    """
    models = np.arange(len(columns))
    predicted = np.zeros(failed.shape)
    for m in models:
        others = models != m if len(models) > 1 else models == m
        for fold in np.unique(folds):
            away = folds != fold
            fitted = _Logistic.fit(
                columns[others][:, away].reshape(-1, columns.shape[-1]), failed[others][:, away].ravel()
            )
            predicted[m, ~away] = fitted.log_odds(columns[m, ~away])
    return predicted


@dataclass(frozen=True)
class _Logistic:
    """A logistic regression on standardised predictors.

    Attributes:
        centre, scale: float64[predictors].
        weights: float64[predictors + 1], the last one the intercept.
    """

    centre: np.ndarray
    scale: np.ndarray
    weights: np.ndarray

    @classmethod
    def fit(cls, columns: np.ndarray, failed: np.ndarray) -> "_Logistic":
        """By Newton's method, with a small ridge, so that separable failures have a solution, too."""
        centre, scale = columns.mean(0), columns.std(0)
        made = cls(centre, np.where(scale > 0, scale, 1), np.zeros(columns.shape[1] + 1))
        design = made._design(columns)
        ridge = _RIDGE * len(failed) * np.eye(design.shape[1])
        ridge[-1, -1] = _LEAST
        weights = made.weights
        for _ in range(_STEPS):
            p = expit(design @ weights)
            gradient = design.T @ (p - failed) + ridge @ weights
            step = np.linalg.solve((design.T * (p * (1 - p))) @ design + ridge, gradient)
            weights = weights - step
            if np.abs(step).max() < 1e-8:
                break
        return cls(made.centre, made.scale, weights)

    def log_odds(self, columns: np.ndarray) -> np.ndarray:
        """Of failure, float64[n]."""
        return self._design(columns) @ self.weights

    def _design(self, columns: np.ndarray) -> np.ndarray:
        return np.column_stack([(columns - self.centre) / self.scale, np.ones(len(columns))])


def log_odds(probability: np.ndarray) -> np.ndarray:
    """Of probabilities, finite also where these round to 0 or 1."""
    return logit(np.clip(probability, _LEAST, 1 - _LEAST))
