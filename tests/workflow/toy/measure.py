"""Mean confidence of the first models."""

import numpy as np

from transferlens.core.statistics import mean_interval


def confidence(p_true: np.ndarray, halves: np.ndarray, weight: float):
    """Mean of float[models, examples] over the examples of each half, with intervals over models."""
    means = np.stack([p_true[:, halves == half].mean(1) for half in range(2)])
    return mean_interval(weight * means)
