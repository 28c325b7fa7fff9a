"""GBC: minus the overlap of the classes, each seen as a Gaussian (Bhattacharyya class separability).

    GBC = - sum over ordered pairs i != j of exp(-DB_ij),
    DB_ij = 1/8 (mu_i - mu_j)^T S^-1 (mu_i - mu_j) + 1/2 log( |S| / sqrt(|S_i| |S_j|) ),   S = (S_i + S_j) / 2

on the 64 axes of largest variance, with S_i spherical (the mean variance) or diagonal, variances of the
images (divided by n_c) and none below 1e-4. - classes * (classes - 1) for classes that coincide, 0 for
distant ones. Source: Pandy, Agostinelli, Uijlings, Ferrari, Mensink, Transferability estimation using
Bhattacharyya class separability, CVPR 2022. A published spherical form counts the logarithm of the variance
once instead of once for each of the axes; here it is counted as often as the determinant does.
"""

import numpy as np

from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import class_sums

_AXES = 64
_LEAST_VARIANCE = 1e-4


def spherical(candidate: Candidate) -> float:
    """Minus the overlap of spherical classes."""
    means, variances = _gaussians(candidate)
    return -overlap(means, alike(variances))


def diagonal(candidate: Candidate) -> float:
    """Minus the overlap of classes with a variance for each principal axis."""
    return -overlap(*_gaussians(candidate))


def _gaussians(candidate: Candidate) -> tuple[np.ndarray, np.ndarray]:
    return class_gaussians(candidate.principal(_AXES), candidate.labels, candidate.classes)


def class_gaussians(features: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
    """Means and variances float64[classes, axes] of every class of features float64[images, axes]."""
    counts = np.bincount(labels, minlength=classes)[:, None]
    means = class_sums(features, labels, classes) / counts
    variances = class_sums((features - means[labels]) ** 2, labels, classes) / counts
    return means, np.maximum(variances, _LEAST_VARIANCE)


def alike(variances: np.ndarray) -> np.ndarray:
    """Variances [classes, axes], the same in all axes."""
    return np.broadcast_to(variances.mean(1, keepdims=True), variances.shape)


def overlap(means: np.ndarray, variances: np.ndarray) -> float:
    """Sum of Bhattacharyya coefficients over ordered pairs of different Gaussians [classes, axes]."""
    logs = np.log(variances).sum(1)
    total = 0.0
    for i in range(len(means)):
        shared = (variances[i] + variances) / 2
        distance = ((means[i] - means) ** 2 / shared).sum(1) / 8
        distance += 0.5 * (np.log(shared).sum(1) - (logs[i] + logs) / 2)
        total += np.exp(-np.delete(distance, i)).sum()
    return float(total)
