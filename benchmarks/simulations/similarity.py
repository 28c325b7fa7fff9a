"""Similarities of layers: do intervals hold the truth, and are p-values uniform where nothing is shared?

Two layers see images that are drawn anew in each study. The first is normal, or the positive part of that;
the second mixes the first's features with noise. The truth is what infinitely many images would give: known
for normal features, from 400,000 images for positive ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from simulations.row import Row, coverage_row
from transferlens.core.statistics import Interval
from transferlens.dynamics.similarity import cka, grams, minibatch

DRAWS = 99
PARTS = ("value", "low", "high")
Features = tuple[np.ndarray, np.ndarray]  # of two layers, [images, d] and [images, d']


@dataclass(frozen=True)
class Layers:
    """Two layers whose features share a part.

    Attributes:
        mixing: float[d, d'], of the first's features in the second.
        noise: the standard deviation of what the second has of its own.
        positive: whether both give the positive parts only.
    """

    mixing: np.ndarray
    noise: float
    positive: bool

    def features(self, rng: np.random.Generator, images: int) -> Features:
        """Of images that are drawn."""
        first = rng.normal(size=(images, len(self.mixing)))
        own = self.noise * rng.normal(size=(images, self.mixing.shape[1]))
        if not self.positive:
            return first, first @ self.mixing + own
        return np.maximum(first, 0), np.maximum(first @ self.mixing + own, 0)

    def truth(self) -> float:
        """The similarity over all images there could be."""
        if not self.positive:
            second = self.mixing.T @ self.mixing + self.noise**2 * np.eye(self.mixing.shape[1])
            return (self.mixing**2).sum() / np.sqrt(len(self.mixing)) / np.linalg.norm(second)
        return cka.unbiased(*self.features(np.random.default_rng(1), 400_000))


def rows(scale: float) -> Iterator[Row]:
    """Coverage of the jackknife, and p-values of the permutations."""
    rng, repetitions = np.random.default_rng(0), max(round(500 * scale), 20)
    mixing, rotation = rng.normal(size=(64, 32)) / 8, np.linalg.qr(rng.normal(size=(32, 32)))[0]
    for mixed, noise, positive in (
        (mixing, 3.0, True),
        (mixing, 1.0, False),
        (mixing, 0.1, True),
        (rotation, 0.3, False),
        (rotation, 0.1, True),
        (np.eye(32), 0.1, True),
    ):
        for batches, size in ((16, 32), (32, 64)):
            yield _covers(Layers(mixed, noise, positive), batches, size, repetitions)
    for batches, size in ((4, 16), (16, 32)):
        yield from _uniform(Layers(0 * mixing, 1.0, True), batches, size, repetitions)


def _covers(layers: Layers, batches: int, size: int, repetitions: int) -> Row:
    found = [
        minibatch.jackknife(minibatch.products(drawn(layers, batches, size, np.random.default_rng(seed))))
        for seed in range(repetitions)
    ]
    interval = Interval(*(np.array([getattr(f, part)[0, 1] for f in found]) for part in PARTS))
    truth = layers.truth()
    kind = "positive" if layers.positive else "normal"
    design = f"CKA {truth:.2f} of {kind} features, {batches} batches of {size}"
    return coverage_row("similarity of two layers", design, interval, truth)


def drawn(layers: Layers, batches: int, size: int, rng: np.random.Generator) -> list[torch.Tensor]:
    """Rows [2, pairs] of the layers on each batch of images that are drawn."""
    made = [layers.features(rng, size) for _ in range(batches)]
    return [grams.batch_rows({"first": torch.from_numpy(x), "second": torch.from_numpy(y)}) for x, y in made]


def _uniform(layers: Layers, batches: int, size: int, repetitions: int) -> Iterator[Row]:
    p = []
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        made = drawn(layers, batches, size, rng)
        p.append(minibatch.null([b[:1] for b in made], [b[1:] for b in made], DRAWS, rng).p[0])
    for level in (0.05, 0.5):
        chance = 2 * np.sqrt(level * (1 - level) / repetitions)
        share = float(np.mean(np.array(p) <= level))
        measure = f"share of p <= {level}, nothing shared, {batches} batches of {size}"
        bounds = level - chance, level + chance
        yield Row("similarity of two layers", measure, f"{level}", share, *bounds, repetitions)
