"""What source classes stand for a target class: p(source class | target class) (You et al. 2020, Co-Tuning).

`direct` is what the source answers the images of a class on average. `learned` regresses the target's labels
on these answers, p(t | answers) = softmax(a W answers), with the regularisation that is best on images held
out and the scale a that is calibrated on them. An answer that is sure of source class s gives p(t | s), and
Bayes' rule, with the answers' mean as p(s), gives p(s | t).
"""

import warnings

import numpy as np
import scipy  # its functions load at their first use

from transferlens.core.errors import ConfigError
from transferlens.training.calibration import fit_temperature

_HELD_OUT = 0.2  # of each class's images, and at least one
# Inverse strengths of regularisation from which the best one is taken: 1e4 to 1e-4, two a decade.
_INVERSE_STRENGTHS = np.logspace(4, -4, 17)


def direct(answers: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Mean answers by class, float64[classes, source classes], rows of sum 1.

    Args:
        answers: float64[images, source classes], the source's probabilities.
        labels: int64[images], target classes.

    Raises:
        ConfigError: a class without images.
    """
    _require(labels, classes, 1)
    return np.stack([answers[labels == c].mean(0) for c in range(classes)])


def learned(answers: np.ndarray, labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """By a calibrated regression, inverted; shapes as of `direct`.

    Raises:
        ConfigError: a class of which no image can be held out.
    """
    _require(labels, classes, 2)
    held = held_out(labels, classes, rng)
    weights = [_regression(answers[~held], labels[~held], c) for c in _INVERSE_STRENGTHS]
    right = [((answers[held] @ weight.T).argmax(1) == labels[held]).mean() for weight in weights]
    weight = weights[int(np.argmax(right))]
    temperature = fit_temperature(answers[held] @ weight.T, labels[held])
    return inverted(scipy.special.log_softmax(weight / temperature, axis=0), answers.mean(0))


def held_out(labels: np.ndarray, classes: int, rng: np.random.Generator) -> np.ndarray:
    """bool[images]: a share of each class's images, at least one."""
    held = np.zeros(len(labels), bool)
    for c in range(classes):
        members = rng.permutation(np.flatnonzero(labels == c))
        held[members[: max(1, round(_HELD_OUT * len(members)))]] = True
    return held


def inverted(log_forward: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """p(s | t) float64[T, S] of log p(t | s) float64[T, S] and p(s) float64[S], by Bayes' rule."""
    return scipy.special.softmax(log_forward + np.log(prior), axis=1)


def _regression(answers: np.ndarray, labels: np.ndarray, inverse_strength: float) -> np.ndarray:
    """Weights float64[classes, source classes] of a logistic regression without intercepts."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    model = LogisticRegression(C=inverse_strength, fit_intercept=False, max_iter=200)
    with warnings.catch_warnings():  # the best of several is taken, whether or not it has converged
        warnings.simplefilter("ignore", ConvergenceWarning)
        (weight,) = (model.fit(answers, labels).coef_,)
    return (
        weight if len(weight) > 1 else np.concatenate([-weight, weight]) / 2
    )  # of two classes: one's logits


def _require(labels: np.ndarray, classes: int, least: int) -> None:
    """Refuse classes with fewer images than `least`."""
    counts = np.bincount(labels, minlength=classes)
    if counts.min() < least:
        raise ConfigError(
            f"co_tuning: class {counts.argmin()} of the target has {counts.min()} training images, and its "
            f"relationship to source classes needs {least}; add some, or take the class out"
        )
