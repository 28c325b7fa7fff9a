"""Designs and estimators against planted truths.

Outputs are simulated: effects of K classes (30 % of them negative), pairwise interactions where asked for,
and noise. Printed are:

* the correlation of estimated with true effects, by design, estimator and number of models. The noise is
  such that at K = 1,000 and M = 2,000 the paper's design and estimator reach a correlation of about .72;
* the correlation of predicted with actual outputs of models on fresh masks (linear datamodeling score);
* the models that the default design needs for what the paper's reach at M = 4,000;
* the coverage of 95 % intervals and the false discovery rate at q = .1, over repetitions, with noise that
  differs between models and grows with one class (with interactions: `validity.py --only influence`).

    python benchmarks/planted.py [--repetitions 200]
"""

import argparse
import time

import numpy as np
from tables import print_table

from transferlens.core.errors import ConfigError
from transferlens.core.statistics import q_values, t_interval
from transferlens.estimation import designs, estimators

OUTPUTS = 40  # simulated target examples, each with effects of its own
# Noise variance over the variance of an effect; the additive signal's is K / 4.
NOISE_AT_1000 = 207.5
DESIGNS = ("fixed_size", "bernoulli", "complementary", "hadamard")
ESTIMATORS = ("difference_of_means", "least_squares", "ridge")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    for classes, sizes in ((20, (40, 80, 160)), (200, (400, 800)), (1000, (1000, 2000, 4000))):
        for interactions in (0.0, 0.3):
            correlations(classes, sizes, interactions)
    predictions(200, (400, 800))
    for models, classes in ((64, 20), (1000, 200)):
        coverage(models, classes, repetitions)


def truth(rng: np.random.Generator, classes: int) -> np.ndarray:
    """Effects float64[OUTPUTS, classes] of unit variance; the mean makes 30 % of them negative."""
    return rng.normal(0.5244, 1.0, (OUTPUTS, classes))


class Interactions:
    """K random pairs of classes that add a coefficient when both are seen, of a given share of the signal."""

    def __init__(self, rng: np.random.Generator, classes: int, share: float):
        self.pairs = np.array([rng.choice(classes, 2, replace=False) for _ in range(classes)])
        # A product of two fair coins has variance 3/16, an effect's coin 1/4.
        self.coefficients = rng.normal(0, np.sqrt(share / (1 - share) * 4 / 3), (OUTPUTS, classes))

    def outputs(self, masks: np.ndarray) -> np.ndarray:
        return (masks[:, self.pairs[:, 0]] & masks[:, self.pairs[:, 1]]) @ self.coefficients.T

    def effects(self, classes: int) -> np.ndarray:
        """What they add to the effect of a class among a random half of the others."""
        found = np.zeros((OUTPUTS, classes))
        for side in (0, 1):
            np.add.at(found, (slice(None), self.pairs[:, side]), self.coefficients / 2)
        return found


def correlations(classes: int, sizes: tuple[int, ...], share: float) -> None:
    """Print the mean correlation over outputs, for every design, estimator and number of models."""
    rng = np.random.default_rng(0)
    effects = truth(rng, classes)
    extra = Interactions(rng, classes, share)
    wanted = effects + (extra.effects(classes) if share else 0)
    noise = rng.normal(0, np.sqrt(NOISE_AT_1000 * classes / 1000), (sizes[-1], OUTPUTS))
    rows, started = {}, time.perf_counter()
    for design in DESIGNS:
        masks = designs.draw_masks(design, classes, 0.5, 0, range(sizes[-1]))
        outputs = masks @ effects.T + (extra.outputs(masks) if share else 0) + noise
        for name in ESTIMATORS:
            rows[design, name] = [
                agreement(name, masks[:models], outputs[:models], wanted) for models in sizes
            ]
    print_table(
        f"Correlation with the truth, {classes} classes, {share:.0%} of the signal interactions "
        f"({time.perf_counter() - started:.0f} s)",
        ["design", "estimator", *(f"M={m}" for m in sizes)],
        [[*key, *("-" if np.isnan(v) else f"{v:.3f}" for v in values)] for key, values in rows.items()],
    )
    if classes == 1000 and not share:
        models_for_the_same(effects, noise, rows["fixed_size", "difference_of_means"][-1])


def predictions(classes: int, sizes: tuple[int, ...]) -> None:
    """Print how well estimates predict outputs under fresh Bernoulli masks, and the most that is possible."""
    rng = np.random.default_rng(0)
    effects = truth(rng, classes)
    sd = np.sqrt(NOISE_AT_1000 * classes / 1000)
    fresh = designs.draw_masks("bernoulli", classes, 0.5, 1, range(1000))
    actual = fresh @ effects.T + rng.normal(0, sd, (1000, OUTPUTS))
    rows = []
    for design in DESIGNS:
        masks = designs.draw_masks(design, classes, 0.5, 0, range(sizes[-1]))
        outputs = masks @ effects.T + rng.normal(0, sd, (sizes[-1], OUTPUTS))
        for name in ESTIMATORS:
            found = [predictive(name, masks[:m], outputs[:m], fresh, actual) for m in sizes]
            rows.append([design, name, *("-" if np.isnan(v) else f"{v:.3f}" for v in found)])
    rows.append(["", "perfect prediction", *[f"{correlation(effects @ fresh.T, actual.T):.3f}"] * len(sizes)])
    print_table(
        f"Prediction of outputs under fresh masks, {classes} classes",
        ["design", "estimator", *(f"M={m}" for m in sizes)],
        rows,
    )


def predictive(name: str, masks, outputs, fresh, actual) -> float:
    """Mean correlation over outputs; NaN where there are too few models for the estimator."""
    try:
        fitted = estimators.make(name, masks, outputs)
    except ConfigError:
        return np.nan
    return correlation(fitted.coefficients(outputs) @ fresh.T, actual.T)


def correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Mean over rows of their correlations."""
    return float(np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(one, other, strict=True)]))


def agreement(name: str, masks: np.ndarray, outputs: np.ndarray, wanted: np.ndarray) -> float:
    """Mean over outputs of the correlation of estimated and true effects; NaN where it cannot be
    estimated.
    """
    try:
        fitted = estimators.make(name, masks, outputs)
    except ConfigError:
        return np.nan
    return correlation(fitted.coefficients(outputs), wanted)


def models_for_the_same(effects: np.ndarray, noise: np.ndarray, reached: float) -> None:
    """Print the fewest models, in hundreds, with which `hadamard` reaches a correlation."""
    masks = designs.draw_masks("hadamard", effects.shape[1], 0.5, 0, range(len(noise)))
    outputs = masks @ effects.T + noise
    for models in range(200, len(noise) + 1, 100):
        if agreement("ridge", masks[:models], outputs[:models], effects) >= reached:
            print(
                f"hadamard with ridge needs {models} models for the correlation of {reached:.3f} that "
                f"fixed-size masks with differences of means reach at {len(noise)}\n"
            )
            return
    print("hadamard with ridge does not get there\n")


def coverage(models: int, classes: int, repetitions: int) -> None:
    """Print the share of 95 % intervals that hold the truth, and of false ones among discoveries at q
    = .1.
    """
    rows = []
    for design in DESIGNS:
        for name in ("difference_of_means", "least_squares"):
            held, false = [], []
            for repetition in range(repetitions):
                rng = np.random.default_rng([repetition, models])
                masks = designs.draw_masks(design, classes, 0.5, repetition, range(models))
                effects = rng.normal(0, 1, (10, classes)) * (rng.random(classes) < 0.5)
                sd = np.where(masks[:, :1], 3.0, 1.0) * np.exp(rng.normal(0, 0.4, (models, 1)))
                outputs = masks @ effects.T + rng.normal(size=(models, 10)) * sd
                found = estimators.make(name, masks, outputs).effects(outputs)
                wanted = estimand(design, name, effects)
                interval = t_interval(found.effect, found.se, found.df)
                held.append(((interval.low <= wanted) & (wanted <= interval.high)).mean())
                discovered = q_values(found.p()) < 0.1
                false.append((discovered & (wanted == 0)).sum() / max(discovered.sum(), 1))
            shown = "-" if design == "fixed_size" else f"{np.mean(false):.3f}"
            rows.append([design, name, f"{np.mean(held):.3f}", shown])
    print_table(
        f"Intervals of {models} models, {classes} classes, unequal noise, {repetitions} repetitions",
        ["design", "estimator", "coverage of 95 %", "false discovery rate at q=.1"],
        rows,
    )


def estimand(design: str, name: str, effects: np.ndarray) -> np.ndarray:
    """What an estimator aims at: with masks of a fixed size, effects relative to the average class."""
    if design != "fixed_size":
        return effects
    classes = effects.shape[1]
    relative = effects - effects.mean(1, keepdims=True)
    return relative * classes / (classes - 1) if name == "difference_of_means" else relative


if __name__ == "__main__":
    main()
