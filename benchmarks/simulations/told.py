"""What is told of networks on their way: do intervals over images of a class, and over models, hold?

Images of a class are drawn anew in each study, as for similarities of layers. Similarities of pairs of models
are sums of what either model, and the pair alone, makes of them.
"""

from collections.abc import Iterator

import numpy as np
import torch

from simulations.row import Row, bias_row, coverage_row
from simulations.similarity import PARTS, Layers
from transferlens.core.statistics import Interval
from transferlens.dynamics.told import images, levels

WITHIN, PAIRS = "similarity to the start within a class", "similarity of models of other seeds"


def rows(scale: float) -> Iterator[Row]:
    """Coverage of intervals over images, and over models."""
    repetitions = max(round(500 * scale), 20)
    for noise in (0.1, 0.5, 1.0):
        for count in (32, 64, 128):
            yield from _within(Layers(np.diag(np.linspace(0.3, 1.5, 8)), noise, True), count, repetitions)
    for models in (3, 4, 8):
        yield _pairs(models, 4 * repetitions)


def _within(layers: Layers, count: int, repetitions: int) -> Iterator[Row]:
    """Of a class with so many images."""
    drawn = (layers.features(np.random.default_rng(seed), count) for seed in range(repetitions))
    found = [images.to_first(torch.from_numpy(np.stack(both))) for both in drawn]
    interval = Interval(*(np.array([getattr(own, part)[1] for own in found]) for part in PARTS))
    truth = layers.truth()
    design = f"CKA {truth:.2f}, {count} images"
    yield bias_row(WITHIN, design, interval.value - truth)
    yield coverage_row(WITHIN, design, interval, truth)


def _pairs(models: int, repetitions: int) -> Row:
    """Of so many models, which make most of the variance, as they do in practice."""
    rng = np.random.default_rng(0)
    own, pair = rng.normal(size=(repetitions, models, 1)), rng.normal(size=(repetitions, models, models))
    similar = own + own.swapaxes(1, 2) + 0.3 * (pair + pair.swapaxes(1, 2))
    return coverage_row(PAIRS, f"{models} models", levels.over_pairs(similar), 0.0)
