"""Seen minus unseen: is it unbiased, do intervals cover, does p keep its level, is a planted memory found?

Answers of models are drawn with the variances that drops of the default study have, on composites of its
design, and go the way that `scripts/compare_seen.py` sends them.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from simulations.row import Row
from transferlens.core.crossed import CrossedMean
from transferlens.memories.seen.estimate import Measured, contrast, stack

CLASSES, DISTRACTING, TARGETS, PER_CELL = 6, 3, 9, 20
BACKGROUNDS, OVERLAYS = 25, 40  # images a class, in a half
# Variances of the net drop in the default study: of a model's level on a target class, and on a source and a
# target class; of what models of one repeat share on a composite; of the rest.
OF_TARGET, OF_CELL, OF_REPEAT, OF_MODEL = 0.0034, 0.0030, 0.0011, 0.038
USABLE = 0.93
# The same of bindings: of a model's level on a source class, and of the rest.
BOUND_BY_CLASS, BOUND_BY_MODEL = 0.033, 0.049
REPEATS = (2, 4, 12)
PLANTED = 0.1


def rows(scale: float) -> Iterator[Row]:
    """The lines of the table."""
    repetitions = max(50, round(600 * scale))
    for quantity, draw in {"drop": drops, "binding": bindings}.items():
        for repeats in REPEATS:
            yield from without_memory(quantity, draw, repeats, repetitions)
    for repeats in REPEATS[1:]:
        yield planted(repeats, repetitions)


def without_memory(quantity: str, draw: Callable, repeats: int, repetitions: int) -> Iterator[Row]:
    """What is told where seeing a class changes nothing."""
    found = [draw(np.random.default_rng([seed, repeats]), repeats) for seed in range(repetitions)]
    value, low, high, p = (
        np.array([getattr(e, key) for e in found]) for key in ("value", "low", "high", "p")
    )
    name, design = f"seen minus unseen, {quantity}", f"{repeats} repeats"
    error = 2 * np.sqrt(0.05 * 0.95 / repetitions)
    noise = 2 / np.sqrt(repetitions)
    bounds = 0.93 - error, 1 if repeats == 2 else 0.97 + error
    nominal = f"{'.95 or more' if repeats == 2 else '.95'} (± .02 and two Monte Carlo errors)"
    bias = float(value.mean() / value.std(ddof=1))
    yield Row(name, f"bias in standard errors, {design}", "0", bias, -0.1 - noise, 0.1 + noise, repetitions)
    covered = float(((low <= 0) & (high >= 0)).mean())
    yield Row(name, f"coverage of the interval, {design}", nominal, covered, *bounds, repetitions)
    rejected = float((p <= 0.05).mean())
    yield Row(
        name, f"p <= .05 without a memory, {design}", "at most .05", rejected, 0, 0.07 + error, repetitions
    )


def planted(repeats: int, repetitions: int) -> Row:
    """How often a memory is found."""
    found = [
        drops(np.random.default_rng([seed, repeats, 1]), repeats, PLANTED) for seed in range(repetitions)
    ]
    share = float(np.mean([e.low > 0 for e in found]))
    measure = f"a memory of {PLANTED} is found, {repeats} repeats"
    return Row("seen minus unseen, drop", measure, "at least .95", share, 0.95, 1, repetitions)


def drops(rng: np.random.Generator, repeats: int, memory: float = 0.0) -> CrossedMean:
    """The estimate over the distracting classes of a simulated study, on composites."""
    behind, pasted, *factors = composites(rng)
    answers = drawn(rng, repeats, behind, pasted, memory)
    alone = rng.random(answers.shape) < USABLE
    return estimated(answers, alone, behind, factors)


def bindings(rng: np.random.Generator, repeats: int) -> CrossedMean:
    """The same on images of the classes, whose models differ by class."""
    behind = np.repeat(np.arange(CLASSES), BACKGROUNDS)
    of_class = rng.normal(0, np.sqrt(BOUND_BY_CLASS), (repeats, CLASSES, CLASSES))[..., behind]
    answers = of_class + rng.normal(0, np.sqrt(BOUND_BY_MODEL), of_class.shape)
    return estimated(answers, np.ones(answers.shape, bool), behind, [np.arange(len(behind))])


def estimated(
    answers: np.ndarray, usable: np.ndarray, behind: np.ndarray, factors: Sequence[np.ndarray]
) -> CrossedMean:
    """What is told of answers float64[repeats, models, units]."""
    found = stack([contrast(*of_repeat, behind) for of_repeat in zip(answers, usable, strict=True)])
    return Measured(found, behind, factors).of(np.arange(CLASSES) < DISTRACTING).effect


def composites(rng: np.random.Generator) -> tuple[np.ndarray, ...]:
    """Class behind, class pasted, background and pasted image of every composite, int64[composites] each."""
    columns = []
    for c in range(CLASSES):
        for j in range(TARGETS):
            numbers = np.arange(PER_CELL)
            behind = rng.permutation(BACKGROUNDS)[numbers % BACKGROUNDS] + BACKGROUNDS * c
            pasted = rng.permutation(OVERLAYS)[numbers % OVERLAYS] + OVERLAYS * j
            columns.append([np.full(PER_CELL, c), np.full(PER_CELL, j), behind, pasted])
    return tuple(np.concatenate(column) for column in zip(*columns, strict=True))


def drawn(
    rng: np.random.Generator, repeats: int, behind: np.ndarray, pasted: np.ndarray, planted: float
) -> np.ndarray:
    """Net drops float64[repeats, models, composites]; all models but m lose `planted` to class m."""
    models = (repeats, CLASSES)
    of_target = rng.normal(0, np.sqrt(OF_TARGET), (*models, TARGETS))[..., pasted]
    of_cell = rng.normal(0, np.sqrt(OF_CELL), (*models, CLASSES, TARGETS))[..., behind, pasted]
    of_repeat = rng.normal(0, np.sqrt(OF_REPEAT), (repeats, 1, len(behind)))
    rest = rng.normal(0, np.sqrt(OF_MODEL), (*models, len(behind)))
    saw = np.arange(CLASSES)[:, None] != behind
    return of_target + of_cell + of_repeat + rest + planted * saw
