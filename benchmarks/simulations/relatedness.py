"""Task-relatedness: intervals of the bound and its terms, of test images drawn anew."""

from collections.abc import Iterator

import numpy as np

from simulations.row import Row, coverage_row
from transferlens.core.statistics import Interval
from transferlens.relatedness.bound import Options, Relation, bound, fit_heads, fit_transform
from transferlens.relatedness.tasks import Sample, Task

_CLASSES, _FEATURES, _TAU = 5, 32, 0.2
_TERMS = ("wasserstein", "bound", "bound_tight", "reference_loss", "transformed_loss", "transformed_accuracy")


def rows(scale: float) -> Iterator[Row]:
    """Coverage of the mean over samples of the same sizes: of many images a class, and of few.

    The distance between the distributions themselves, which that of samples lies far above, is not covered.
    """
    for images in (10, 60):
        yield from _coverage(images, int(400 * scale), np.random.default_rng(images))


def _coverage(images: int, repetitions: int, rng: np.random.Generator) -> Iterator[Row]:
    means = rng.normal(size=(2, _CLASSES, _FEATURES))
    counts = np.linspace(0.6, 1.4, _CLASSES) * images
    tasks = [Task(_drawn(of, counts, rng), _drawn(of, counts, rng), _CLASSES) for of in means]
    heads = fit_heads(*tasks, _TAU)
    transform, _ = fit_transform(*tasks, heads.reference, Options(), 0)
    found: list[Relation] = []
    for _ in range(repetitions):
        samples = [_drawn(of, counts, rng) for of in means]
        found.append(bound(*samples, transform, heads, {}))
    for term in _TERMS:
        values = np.array([getattr(relation, term) for relation in found])
        ends = [[getattr(r.intervals[term], end) for r in found] for end in ("low", "high")]
        interval = Interval(values, *map(np.array, ends))
        yield coverage_row(term, f"{images} images a class", interval, values.mean())


def _drawn(means: np.ndarray, counts: np.ndarray, rng: np.random.Generator) -> Sample:
    """Clouds around means float64[classes, features], heavier in some directions than in others."""
    labels = np.repeat(np.arange(len(means)), counts.astype(int))
    noise = rng.normal(size=(len(labels), _FEATURES)) * np.geomspace(2, 0.2, _FEATURES)
    return Sample(means[labels] + noise, labels)
