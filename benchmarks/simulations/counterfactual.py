"""Counterfactual retraining: the gain at a chosen k, predictions of single removals, and random sets."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from simulations.row import Row, bias_row, coverage_row
from transferlens.core.statistics import Interval
from transferlens.counterfactual.choice import choose, choosing_halves
from transferlens.counterfactual.orders import single_units
from transferlens.counterfactual.predictions import correlations_within, slope_within

# Of the default study: standard deviations of accuracy between models without some classes and between
# full-source models, and the correlation of the former between the halves of the examples.
_REMOVAL, _FULL, _HALVES = 0.031, 0.018, 0.87
# Influences on the mean output: mean, standard deviation between classes, standard error by all draws.
_MEAN, _CLASSES, _SE = 0.013, 0.015, 0.0082
# Of the mean output between models without the same classes, and between full-source models.
_OUTPUT, _FULL_OUTPUT = 0.033, 0.015
_UNITS = 20


def rows(scale: float) -> Iterator[Row]:
    """See `simulations.row`."""
    rng = np.random.default_rng(0)
    flat, best = "all ks alike", "a best k"
    for ks, repeats, words in ((3, 4, flat), (3, 4, best), (10, 4, flat), (3, 3, flat), (5, 8, flat)):
        gains = np.zeros(ks) if words == flat else np.linspace(0, 0.03, ks)
        yield from _choices(gains, repeats, f"{ks} ks, {repeats} repeats, {words}", int(10_000 * scale), rng)
    yield from _many_ks(int(4000 * scale), rng)
    yield from _single_predictions(int(4000 * scale), rng)
    yield from _random_sets(6, 4, int(1500 * scale), rng)


def _choices(
    gains: np.ndarray, repeats: int, design: str, repetitions: int, rng: np.random.Generator
) -> Iterator[Row]:
    """The cross-fitted gain; every repetition is an order of removal of one call."""
    shape = (repetitions, len(gains), repeats)
    select = rng.normal(0, _REMOVAL, shape)
    own = rng.normal(0, _REMOVAL, shape)
    full = rng.normal(0, _FULL, (repetitions, 1, repeats))
    report = _HALVES * select + np.sqrt(1 - _HALVES**2) * own - full
    choice = choose(select + gains[:, None], report + gains[:, None])
    sides = choosing_halves(repeats)
    truth = gains[((select + gains[:, None]) @ sides.T / sides.sum(1)).argmax(1)].mean(1)
    name = "gain at the chosen k"
    yield bias_row(name, design, choice.gain.value - truth)
    yield coverage_row(name, design, choice.gain, truth)
    above = float((choice.gain.low > truth).mean())
    allowed = 2 * np.sqrt(0.025 * 0.975 / repetitions)
    yield Row(name, f"false gains: {design}", "at most .035", above, 0, 0.035 + allowed, repetitions)


def _many_ks(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """With many ks and few repeats the interval is too wide, which is the side to err on."""
    for row in _choices(np.zeros(20), 3, "20 ks, 3 repeats, all ks alike", repetitions, rng):
        covers = row.measure.startswith("coverage")
        yield replace(row, nominal="at least .95", high=1.0) if covers else row


def _single_predictions(repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """What is predicted of the class that is removed alone as the most harmful one."""
    truth = rng.normal(_MEAN, _CLASSES, (repetitions, _UNITS))
    choosing, predicting = (truth + rng.normal(0, _SE * np.sqrt(2), truth.shape) for _ in range(2))
    worst = np.array([single_units(effect, 8)[0] for effect in choosing])
    every = np.arange(repetitions)
    error = predicting[every, worst] - truth[every, worst]
    yield bias_row("prediction of a single removal", "the most harmful of 20 classes", error)


def _random_sets(sets: int, repeats: int, repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    """Slope and correlations of random sets, for given influences; nothing but their sum acts."""
    truth = rng.normal(_MEAN, _CLASSES, _UNITS)
    estimated = truth + rng.normal(0, _SE, _UNITS)
    rivals = np.stack([estimated, np.ones(_UNITS)])
    found = [_one_study(truth, rivals, sets, repeats, rng) for _ in range(repetitions)]
    # What it comes to with many repeats.
    predicted, realised = _changes(truth, rivals, sets, 20_000, rng)
    slope, (correlation, advantage) = _large(predicted, realised)
    design = f"{sets} sets, {repeats} repeats"
    for name, place, value in (
        ("slope over random sets", 0, slope),
        ("correlation over random sets", 1, correlation),
        ("influences minus number of classes", 2, advantage),
    ):
        yield coverage_row(name, design, _stacked([one[place] for one in found]), value)


def _one_study(
    truth: np.ndarray, rivals: np.ndarray, sets: int, repeats: int, rng: np.random.Generator
) -> tuple[Interval, Interval, Interval]:
    predicted, realised = _changes(truth, rivals, sets, repeats, rng)
    correlation, advantage = correlations_within(predicted, realised)
    return slope_within(predicted[0], realised), _entry(correlation, 0), _entry(advantage, 1)


def _changes(
    truth: np.ndarray, rivals: np.ndarray, sets: int, repeats: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Predicted [rivals, sets, repeats] and realised changes [sets, repeats] without random sets."""
    sizes = np.linspace(2, _UNITS // 2, sets).round().astype(int)
    order = rng.random((sets, repeats, _UNITS)).argsort(-1)
    removed = order < sizes[:, None, None]
    noise = rng.normal(0, _OUTPUT, (sets, repeats)) - rng.normal(0, _FULL_OUTPUT, repeats)
    return np.stack([-(removed @ values) for values in rivals]), noise - removed @ truth


def _large(predicted: np.ndarray, realised: np.ndarray) -> tuple[float, tuple[float, float]]:
    """Slope, correlation and advantage of very many sets."""
    x, y = (v - v.mean(-2, keepdims=True) for v in (predicted, realised))
    correlations = [np.corrcoef(one.ravel(), y.ravel())[0, 1] for one in x]
    slope = float((x[0] * y).sum() / np.square(x[0]).sum())
    return slope, (correlations[0], correlations[0] - correlations[1])


def _entry(interval: Interval, place: int) -> Interval:
    return Interval(interval.value[place], interval.low[place], interval.high[place])


def _stacked(intervals: list[Interval]) -> Interval:
    return Interval(*(np.array([getattr(i, end) for i in intervals]) for end in ("value", "low", "high")))
