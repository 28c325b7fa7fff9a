"""Exact optimal transport between clouds of images."""

import numpy as np

from transferlens.relatedness.tasks import Sample


def class_distances(reference: Sample, target: Sample) -> np.ndarray:
    """W1 between the clouds of every two classes, float64[K_T, K_R]."""
    raise NotImplementedError


def wasserstein_floor(target: Sample, rng: np.random.Generator) -> float:
    """What two samples of the same distribution are apart: W1 between two halves of every class, averaged."""
    raise NotImplementedError
