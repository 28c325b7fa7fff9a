"""Candidates that the tests of scores share."""

from functools import cache

import numpy as np
from sklearn.datasets import load_digits

from transferlens.scores.candidate import Candidate


@cache
def digits() -> Candidate:
    """Pixels of 1,797 digits as features, a fixed linear head of 20 source classes, and itself as source."""
    data = load_digits()
    pixels, labels = data.data / 16, data.target.astype(np.int64)
    head = np.sin(0.7 * np.outer(np.arange(1, 65), np.arange(1, 21)))
    logits = (pixels - pixels.mean(0)) @ head
    for array in (pixels, labels, logits):
        array.setflags(write=False)  # a score that changes what it is given fails
    return Candidate(pixels, labels, 10, logits, (pixels, labels))


def gaussian(images=120, dimensions=12, classes=4, apart=1.0, seed=0) -> Candidate:
    """Gaussian classes of unequal size; with logits and source images."""
    rng = np.random.default_rng(seed)
    labels = np.concatenate([np.arange(classes), rng.integers(0, classes, (2, images - classes)).min(0)])
    features = apart * rng.normal(size=(classes, dimensions))[labels] + rng.normal(size=(images, dimensions))
    logits = features @ rng.normal(size=(dimensions, 7))
    source = rng.normal(size=(60, dimensions)), np.arange(60) % 3
    return Candidate(features, labels.astype(np.int64), classes, logits, source)
