"""Scores of influences: reliability, predictive correlation and its ceiling.

Spreads are those of the default study: see `simulations.influence`. On single examples, effects make 16 % of
the variance between models (4 to 38 %), and the rest has a few directions in common.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulations.influence import CLASSES, EFFECT, NOISE, UNITS
from simulations.row import Row
from transferlens.estimation import designs, estimators
from transferlens.influence import reliability, scores
from transferlens.influence.resampling import Outputs

MODELS, EXAMPLES = 128, 128
DESIGNS = ("hadamard", "complementary", "bernoulli", "fixed_size")
ESTIMATORS = ("least_squares", "difference_of_means", "ridge")
SCORED = (
    ("hadamard", 128, "least_squares"),
    ("hadamard", 128, "ridge"),
    ("bernoulli", 128, "difference_of_means"),
    ("complementary", 48, "difference_of_means"),
)


def rows(scale: float) -> Iterator[Row]:
    """Reliability of every design and estimator; score and ceiling of the default design and others."""
    for design in DESIGNS:
        yield from _reliability(design, max(round(40 * scale), 2))
    yield _reliability_covers(max(round(40 * scale), 2))
    for design, models, name in SCORED:
        yield _score(design, models, name, max(round(40 * scale), 2))
    for repeated in (16, 32):
        yield from _ceiling(repeated, max(round(200 * scale), 2))


def _models_needed(design: str, name: str, effects: np.ndarray, repetitions: int) -> Row:
    """Studies of as many models as 128 ask for have a reliability of .9: odds of 9, as the models are."""
    rng = np.random.default_rng(1)
    studies = (_class_means(rng, effects, design, seed) for seed in range(repetitions))
    told = np.mean([reliability.models_needed(study, name).value for study in studies])
    estimates = []
    for seed in range(3 * repetitions):
        study = _class_means(rng, effects, design, seed, round(told / 2) * 2)
        effect = estimators.make(name, study.masks, study.values).coefficients(study.values)
        estimates.append(effect - effect.mean(1, keepdims=True, dtype=np.float64))
    errors = np.var(estimates, axis=0, ddof=1).sum()
    odds = (np.square(np.mean(estimates, axis=0)).sum() - errors / len(estimates)) / errors
    measure = f"ratio to the truth, {design}, {name}"
    error = 2 * np.sqrt(2 / (len(estimates) * CLASSES * (UNITS - 1)))
    words = "1, within 5 % (+- 2 Monte Carlo s.e.)"
    return Row("models needed", measure, words, odds / 9, 0.95 - error, 1.05 + error, repetitions)


def _class_means(
    rng: np.random.Generator, effects: np.ndarray, design: str, seed: int, models: int = MODELS
) -> Outputs:
    masks = designs.draw_masks(design, UNITS, 0.5, seed, range(models))
    common = np.sqrt(0.1) * rng.normal(size=(models, 1))
    noise = NOISE * (common + np.sqrt(0.9) * rng.normal(size=(models, CLASSES)))
    return Outputs(masks, masks @ effects.T + noise)


def _reliability(design: str, repetitions: int) -> Iterator[Row]:
    """Against what estimates of many studies have in common, as a share of their spread."""
    rng = np.random.default_rng(0)
    effects = EFFECT * rng.normal(0.3, 1, (CLASSES, UNITS))
    estimates: dict[str, list] = {name: [] for name in ESTIMATORS}
    found: dict[str, list] = {name: [] for name in ESTIMATORS}
    for seed in range(5 * repetitions):
        means = _class_means(rng, effects, design, seed)
        for name in ESTIMATORS:
            effect = estimators.make(name, means.masks, means.values).coefficients(means.values)
            estimates[name].append(effect - effect.mean(1, keepdims=True, dtype=np.float64))
            reference = reliability.unbiased(means.masks, name)
            found[name].append(np.divide(*reliability.passed_on(means, reference, name)))
    for name in ESTIMATORS:
        yield _models_needed(design, name, effects, repetitions)
        spread = np.square(estimates[name]).sum((1, 2)).mean()
        truth = 1 - np.var(estimates[name], axis=0, ddof=1).sum() / spread
        ratio = np.mean(found[name]) / truth
        measure = f"ratio to the truth ({truth:.2f}), {design}, {name}"
        yield Row("reliability", measure, "1, within 5 %", ratio, 0.95, 1.05, 5 * repetitions)


def _reliability_covers(repetitions: int) -> Row:
    rng, found = np.random.default_rng(0), []
    effects = EFFECT * rng.normal(size=(CLASSES, UNITS))
    for seed in range(repetitions):
        means = _class_means(rng, effects, "hadamard", seed)
        found.append(reliability.reliability(means, "least_squares", MODELS))
    truth = np.mean([f.value for f in found])
    return _coverage("reliability", "hadamard, least_squares", found, truth, above=1.0)


def _coverage(quantity: str, of: str, found: list, truth: float, above: float = 0.97) -> Row:
    covered = np.mean([f.low <= truth <= f.high for f in found])
    error = 2 * np.sqrt(0.95 * 0.05 / len(found))
    words = "95 % (+- 2 Monte Carlo s.e.)" if above < 1 else "at least 93 % (- 2 Monte Carlo s.e.)"
    bounds = (0.93 - error, min(above + error, 1.0))
    return Row(quantity, f"coverage, {of}", words, covered, *bounds, len(found))


@dataclass(frozen=True)
class Examples:
    """What single examples' outputs are made of.

    Attributes:
        effects: float[examples, units]; together they make `shares` of the unit variance.
        shares: float[examples].
        directions: float[common, examples], in which noise moves examples together; a third of the noise.
    """

    effects: np.ndarray
    shares: np.ndarray
    directions: np.ndarray

    @classmethod
    def drawn(cls, rng: np.random.Generator) -> "Examples":
        shares = 0.04 + 0.34 * rng.beta(2, 4, EXAMPLES)
        effects = rng.normal(0.25, 1, (EXAMPLES, UNITS))
        effects *= np.sqrt(4 * shares / (effects**2).sum(1))[:, None]
        directions = rng.normal(size=(8, EXAMPLES))
        return cls(effects, shares, directions / np.sqrt((directions**2).sum(0)))

    def outputs(self, masks: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """float32[models, examples]."""
        common = rng.normal(size=(len(masks), len(self.directions))) @ self.directions
        noise = np.sqrt(1 / 3) * common + np.sqrt(2 / 3) * rng.normal(size=(len(masks), EXAMPLES))
        return (masks @ self.effects.T + np.sqrt(1 - self.shares) * noise).astype(np.float32)


def _score(design: str, models: int, name: str, repetitions: int) -> Row:
    """The truth is the mean score of many such studies."""
    rng = np.random.default_rng(0)
    examples, found, values = Examples.drawn(rng), [], []
    for seed in range(4 * repetitions):
        masks = designs.draw_masks(design, UNITS, 0.5, seed, range(models))
        outputs = Outputs(masks, examples.outputs(masks, rng))
        whole = seed < repetitions
        score = scores.score(outputs, name, 1.0, slow=not whole)
        values.append(score.value)
        found += [score] * whole
    return _coverage("predictive score", f"{models} models, {design}, {name}", found, np.mean(values))


def _ceiling(repeated: int, repetitions: int) -> Iterator[Row]:
    rng = np.random.default_rng(0)
    examples, found = Examples.drawn(rng), []
    truth = float(np.sqrt(examples.shares.mean()))
    for seed in range(repetitions):
        masks = designs.draw_masks("hadamard", UNITS, 0.5, seed, range(MODELS))
        again = examples.outputs(masks[:repeated], rng)
        found.append(scores.ceiling(Outputs(masks, examples.outputs(masks, rng)), again))
    values = np.array([f.value for f in found])
    error = 2 * values.std(ddof=1) / np.sqrt(len(values))
    words = "0, within .01 (+- 2 Monte Carlo s.e.)"
    of = f"{repeated} repeated of {MODELS} models"
    yield Row(
        "ceiling of the score",
        f"bias ({truth:.2f}), {of}",
        words,
        values.mean() - truth,
        -0.01 - error,
        0.01 + error,
        repetitions,
    )
    yield _coverage("ceiling of the score", of, found, truth)
