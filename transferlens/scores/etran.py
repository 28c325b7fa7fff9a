"""ETran: how well a linear discriminant names the classes, and how near the images are to the source.

    ETran = .85 minmax(D) + .15 minmax(E) over the pool of candidates
    D = mean probability of the true class under Fisher's discriminant (the first of SFDA)
    E = mean over the half percent of images with the lowest energy of log sum_d exp(x_nd), of features

Source: Gholami, Akbari, Wang, Kamranian, Zhang, ETran: energy-based transferability estimation, ICCV 2023.
In the released code the discriminant reduces to the softmax of distances to the class means, without any
covariance: that is `released`. NaN where a part is the same for all candidates.
"""

import numpy as np
from scipy.special import logsumexp, softmax

from transferlens.scores.candidate import Candidate
from transferlens.scores.fisher import discriminant
from transferlens.scores.moments import class_sums
from transferlens.scores.pooling import minmax

_LOWEST = 0.005  # of the images
_WEIGHTS = np.array([0.85, 0.15])


def etran(candidate: Candidate) -> tuple[float, float]:
    """(discriminant, energy)."""
    return _true_class(candidate, discriminant(candidate).probabilities), energy(candidate.features)


def released(candidate: Candidate) -> tuple[float, float]:
    """(nearest class mean, energy)."""
    counts = np.bincount(candidate.labels)
    means = class_sums(candidate.features, candidate.labels, candidate.classes) / counts[:, None]
    offset = np.log(counts / counts.sum()) - (means**2).sum(1) / 2
    nearest = softmax(candidate.features @ means.T + offset, axis=1)
    return _true_class(candidate, nearest), energy(candidate.features)


def energy(features: np.ndarray) -> float:
    """Mean log-sum-exp of the features over the images where it is lowest."""
    each = logsumexp(features, axis=1)
    lowest = max(int(_LOWEST * len(each)), 1)
    return float(np.partition(each, lowest - 1)[:lowest].mean())


def pooled(parts: np.ndarray) -> np.ndarray:
    """Scores float64[candidates] from (discriminant, energy) float64[candidates, 2]."""
    return minmax(parts) @ _WEIGHTS


def _true_class(candidate: Candidate, probabilities: np.ndarray) -> float:
    return float(probabilities[np.arange(len(candidate.labels)), candidate.labels].mean())
