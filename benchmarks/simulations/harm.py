"""Harm by recipe: effects of classes that were chosen for being harmful, and interference, seen minus unseen.

Models of one mask differ in accuracy by .03 (standard deviation), and most of that is the source model's own,
which all recipes share; images differ in how often models are right on them, and in what classes do to them.
Where there are effects, their standard deviation over classes is .02, and half of it under the other recipe.
"""

from collections.abc import Iterator

import numpy as np

from simulations.row import Row
from transferlens.comparison.harm import effects, interference
from transferlens.comparison.harm.effects import Told
from transferlens.comparison.harm.interference import Answered
from transferlens.estimation import crossfit, designs, estimators

UNITS, IMAGES, COMPOSITES, CHOSEN = 20, 150, 400, 5
NOISE, SHARED, EFFECT, OF_IMAGES = 0.03, 0.8, 0.02, 0.5
DESIGNS = (
    ("hadamard", 128, "least_squares"),
    ("complementary", 48, "difference_of_means"),
    ("bernoulli", 64, "difference_of_means"),
)
# Drops on composites: between models and of each answer (.007, and .16 to .26 in the smoke study); and what
# seeing a class does differs so between backgrounds and between pasted images.
DROP_MODELS, DROP_REST, DROP_BACKGROUNDS, DROP_OVERLAYS = 0.01, 0.2, 0.02, 0.02
PLANTED = 0.02
_WIDE = "95 % or more (- 2 Monte Carlo s.e.)"


def rows(scale: float) -> Iterator[Row]:
    """Bias, coverage and level of both quantities, and of their differences to the plain recipe."""
    for design, models, name in DESIGNS:
        for spread in (0.0, EFFECT):
            of = f"{models} models, {design}, {'effects' if spread else 'no effects'}"
            yield from _chosen(design, models, name, spread, of, max(round(100 * scale), 20))
    for design, models in (("complementary", 24), ("bernoulli", 64)):
        for planted in (0.0, PLANTED):
            of = f"{models} models, {design}, {'planted' if planted else 'nothing planted'}"
            yield from _interference(design, models, planted, of, max(round(150 * scale), 20))


def _chosen(design: str, models: int, name: str, spread: float, of: str, repetitions: int) -> Iterator[Row]:
    rng, found, truths = np.random.default_rng(0), [], []
    for seed in range(repetitions):
        masks = designs.draw_masks(design, UNITS, 0.5, seed, range(models))
        plain = spread * rng.normal(size=UNITS)
        select, report = _answers(rng, masks, [plain, plain / 2])
        folds = crossfit.divide(masks, name)
        classes = effects.choose(masks, select, folds, CHOSEN)
        found.append(effects.report(masks, report, np.ones(IMAGES), folds, classes).mean)
        truths.append(plain[classes].mean())
    truth = np.array(truths)
    yield from _judged("effect of a harmful class", of, found, [truth, truth / 2], spread == 0)


def _answers(
    rng: np.random.Generator, masks: np.ndarray, of_recipes: list[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Accuracy on the select half under the first recipe, and whether report images are right under each."""
    easy = rng.uniform(0.5, 0.9, IMAGES)
    shared = NOISE * np.sqrt(SHARED) * rng.normal(size=(len(masks), 1))
    moved = 1 + OF_IMAGES * rng.normal(size=IMAGES)
    chances = []
    for effect in of_recipes:
        own = NOISE * np.sqrt(1 - SHARED) * rng.normal(size=(len(masks), 1))
        chances.append(easy + shared + own + ((masks - 0.5) @ effect)[:, None] * moved)
    select = (rng.random((len(masks), IMAGES)) < chances[0]).mean(1)
    luck = rng.random((len(masks), IMAGES))
    return select, [(luck < chance).astype(float) for chance in chances]


def _interference(design: str, models: int, planted: float, of: str, repetitions: int) -> Iterator[Row]:
    rng, found = np.random.default_rng([models, planted > 0]), []
    for seed in range(repetitions):
        masks = designs.draw_masks(design, UNITS, 0.5, seed, range(models))
        classes = np.arange(COMPOSITES) % UNITS
        background, overlay = (
            classes + UNITS * rng.integers(0, 12, COMPOSITES),
            rng.integers(0, 90, COMPOSITES),
        )
        seen = masks[:, classes]
        level = DROP_MODELS * rng.normal(size=(models, 1))
        unequal = DROP_BACKGROUNDS * rng.normal(size=12 * UNITS)[background]
        unequal = unequal + DROP_OVERLAYS * rng.normal(size=90)[overlay]
        drops = [
            level + seen * (effect + unequal) + DROP_REST * rng.normal(size=seen.shape)
            for effect in (planted, planted / 2)
        ]
        answered = Answered(seen, drops, background, overlay)
        found.append(interference.compare(answered, estimators.is_fold_over(masks)))
    truth = np.full(repetitions, planted)
    yield from _judged("interference, seen minus unseen", of, found, [truth, truth / 2], planted == 0)


def _judged(quantity: str, of: str, found: list[Told], truths: list[np.ndarray], null: bool) -> Iterator[Row]:
    """Of the plain recipe, and of the other one minus it."""
    cells = {"plain": (0, 0, truths[0]), "difference": (1, 1, truths[1] - truths[0])}
    for name, (row, recipe, truth) in cells.items():
        value, low, high, p = (
            np.array([getattr(told, part)[row, recipe] for told in found])
            for part in ("value", "low", "high", "p")
        )
        errors, n = value - truth, len(found)
        bias, noise = errors.mean() / errors.std(ddof=1), 2 / np.sqrt(n)
        words = "0 (within .1 and 2 Monte Carlo s.e.)"
        yield Row(f"{quantity}, {name}", f"bias in s.e., {of}", words, bias, -0.1 - noise, 0.1 + noise, n)
        covered, error = ((low < truth) & (truth < high)).mean(), 2 * np.sqrt(0.95 * 0.05 / n)
        yield Row(f"{quantity}, {name}", f"coverage, {of}", _WIDE, covered, 0.93 - error, 1, n)
        if null:
            words = "at most .05 (+ .02 and 2 Monte Carlo s.e.)"
            yield Row(f"{quantity}, {name}", f"p <= .05, {of}", words, (p <= 0.05).mean(), 0, 0.07 + error, n)
