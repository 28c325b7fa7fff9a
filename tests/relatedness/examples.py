"""Small tasks: digits seen by random networks, and clouds."""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from transferlens.relatedness.tasks import Sample, Task, standardised


@cache
def digits(seed: int) -> tuple[Task, Task]:
    """Digits 0 to 4 and 5 to 9, as 32 random rectified features; 60 % of each class for training."""
    images, labels = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    features = np.maximum(0, images / 16 @ rng.normal(size=(64, 32)))
    return tuple(_digits(features, labels, first, rng) for first in (0, 5))


def _digits(features: np.ndarray, labels: np.ndarray, first: int, rng: np.random.Generator) -> Task:
    rows = rng.permutation(np.flatnonzero((labels >= first) & (labels < first + 5)))
    train, test = np.split(rows, [round(0.6 * len(rows))])
    parts = [a for rows in (train, test) for a in (features[rows], labels[rows] - first)]
    return standardised(*parts, 5, name=f"digits from {first}")


def clouds(rng: np.random.Generator, counts: list[int], features: int = 6, spread: float = 2) -> Sample:
    """Normal clouds around random means, so many images of each class."""
    labels = np.repeat(np.arange(len(counts)), counts)
    means = spread * rng.normal(size=(len(counts), features))
    return Sample(means[labels] + rng.normal(size=(len(labels), features)), labels)


def task_of(rng: np.random.Generator, counts: list[int], features: int = 6, spread: float = 2) -> Task:
    """Clouds of which every second image is for the test."""
    both = clouds(rng, [2 * c for c in counts], features, spread)
    halves = [Sample(both.features[k::2], both.labels[k::2]) for k in range(2)]
    return Task(*halves, len(counts))
