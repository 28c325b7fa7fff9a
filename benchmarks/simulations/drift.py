"""Drift by source class: effects, those of chosen classes, and correlations with effects on accuracy.

Models of one mask differ in drift and in accuracy by .02 (standard deviation), and half of the variance of
either is one luck of the model. Where classes do something, the standard deviation of their effects is .01.
"""

from collections.abc import Iterator

import numpy as np

from simulations.row import Row, bias_row, coverage_row
from transferlens.core.statistics import Interval
from transferlens.dynamics.drift import correlations
from transferlens.dynamics.drift.chosen import chosen_by
from transferlens.dynamics.drift.correlations import Correlations
from transferlens.dynamics.drift.effects import Effects, effects_of
from transferlens.estimation import crossfit, designs
from transferlens.estimation.fold_correlations import correlation

UNITS, LAYERS, CHOSEN = 20, 6, 5
NOISE, SHARED, EFFECT, AGREE = 0.02, 0.5, 0.01, 0.7
DESIGNS = (
    ("hadamard", 128, "least_squares"),
    ("complementary", 48, "difference_of_means"),
    ("bernoulli", 64, "difference_of_means"),
)


def rows(scale: float) -> Iterator[Row]:
    """Bias, coverage and level of all that is told of classes."""
    for design in DESIGNS:
        for effect in (0.0, EFFECT):
            yield from _told(design, effect, max(round(200 * scale), 20))


def _told(design: tuple[str, int, str], effect: float, repetitions: int) -> Iterator[Row]:
    kind, models, _ = design
    of = f"{models} models, {kind}, {'effects' if effect else 'no effects'}"
    rng, found = np.random.default_rng(models), []
    for seed in range(repetitions):
        found.append(_study(rng, design, effect, seed))
    drifts, accuracies, truths = (list(part) for part in zip(*found, strict=True))
    yield from _cells(drifts, truths, of, null=effect == 0)
    errors = [_error_of_chosen(drift, truth) for drift, truth in zip(drifts, truths, strict=True)]
    yield bias_row("drift effect of a chosen class", of, np.array(errors))
    yield from _correlations(drifts, accuracies, of, null=effect == 0)


def _study(
    rng: np.random.Generator, design: tuple[str, int, str], effect: float, seed: int
) -> tuple[Effects, Effects, np.ndarray]:
    """Effects on the drift of layers, on accuracy, and the true ones on drift [layers, units]."""
    kind, models, estimator = design
    masks = designs.draw_masks(kind, UNITS, 0.5, seed, range(models))
    luck = np.sqrt(SHARED) * rng.normal(size=(models, 1))
    own = np.sqrt(1 - SHARED) * rng.normal(size=(models, LAYERS + 1))
    common = rng.normal(size=(1, UNITS))  # to the effects of a class on all
    true = effect * (np.sqrt(AGREE) * common + np.sqrt(1 - AGREE) * rng.normal(size=(LAYERS + 1, UNITS)))
    outputs = (masks - 0.5) @ true.T + NOISE * (luck + own)
    folds = crossfit.divide(masks, estimator)
    made = (effects_of(masks, part, estimator, folds) for part in (outputs[:, :-1], outputs[:, -1:]))
    return *made, true[:-1]


def _cells(drifts: list[Effects], truths: list[np.ndarray], of: str, null: bool) -> Iterator[Row]:
    """One cell of every study, not chosen."""
    value, low, high, p = (
        np.array([getattr(drift, name)[0, 0] for drift in drifts]) for name in ("effect", "low", "high", "p")
    )
    truth = np.array([of_study[0, 0] for of_study in truths])
    yield coverage_row("drift effect", of, Interval(value, low, high), truth)
    if null:
        yield _level("drift effect", of, p)


def _error_of_chosen(drift: Effects, truth: np.ndarray) -> float:
    """How much too large an effect either fold tells of the classes that the other one chose.

    The effect is that on the layer in which the choosing fold finds the largest one, in its direction.
    """
    errors = []
    for fold, classes in enumerate(chosen_by(drift.by_fold, drift.by_fold_se, CHOSEN)):
        own = drift.by_fold[fold][:, classes]
        layer = np.abs(own).argmax(0)
        direction = np.sign(own[layer, range(CHOSEN)])
        errors.append(direction * (drift.by_fold[1 - fold] - truth)[layer, classes])
    return float(np.mean(errors))


def _correlations(drifts: list[Effects], accuracies: list[Effects], of: str, null: bool) -> Iterator[Row]:
    """Of one layer's drift effects with those on accuracy."""
    rng = np.random.default_rng(0)
    found = [
        correlations.across_folds(drift.by_fold[:, :1], accuracy.by_fold, rng)
        for drift, accuracy in zip(drifts, accuracies, strict=True)
    ]
    value, low, high, p = (_of_all(found, name) for name in ("value", "low", "high", "p"))
    name, n = "correlation of drift with accuracy effects", len(found)
    yield coverage_row(name, f"{of}, of the mean over studies", Interval(value, low, high), value.mean())
    if null:
        error = 3 * value.std() / np.sqrt(n)
        yield Row(name, f"mean, {of}", "0", value.mean(), -error, error, n)
        same = float(np.mean(list(map(_of_the_same_models, drifts, accuracies))))
        yield Row(name, f"mean of the same models (not used), {of}", "above 0", same, 0.2, 1, n)
        yield _level(name, of, p)


def _of_the_same_models(drift: Effects, accuracy: Effects) -> float:
    """Of effects from folds that are not crossed."""
    return float(correlation(drift.by_fold[:, 0], accuracy.by_fold[::-1, 0]))


def _of_all(found: list[Correlations], name: str) -> np.ndarray:
    return np.array([getattr(of, name)[0] for of in found])


def _level(quantity: str, of: str, p: np.ndarray) -> Row:
    error = 2 * np.sqrt(0.05 * 0.95 / len(p))
    return Row(quantity, f"p <= .05, {of}", ".05", (p <= 0.05).mean(), 0.03 - error, 0.07 + error, len(p))
