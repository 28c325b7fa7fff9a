"""Fisher's linear discriminant with a shrunk covariance within classes: what SFDA and ETran share."""

from functools import partial
from typing import NamedTuple

import numpy as np
from scipy import linalg
from scipy.special import softmax

from transferlens.scores.candidate import Candidate

_LEAST = 1e-10
_PRODUCTS = 6  # with the covariance, from its row sums


class Discriminant(NamedTuple):
    """Probabilities float64[images, classes] of a discriminant, and the shrinkage that it was fitted with."""

    probabilities: np.ndarray
    shrinkage: float


def discriminant(candidate: Candidate) -> Discriminant:
    """Of a candidate's features; its shrinkage is exp(-5 l), l nearly the covariance's largest eigenvalue."""
    return candidate.shared.part("discriminant", partial(_discriminant, candidate))


def _discriminant(candidate: Candidate) -> Discriminant:
    moments = candidate.moments
    images = len(moments.coordinates)
    within = (moments.scatter - moments.between) / images
    shrinkage = max(float(np.exp(-5 * _spread(within, moments.ones))), _LEAST)
    shrunk = shrink(within, shrinkage, moments.dimensions)
    share = moments.counts / images
    return Discriminant(posterior(moments.coordinates, moments.class_means, share, shrunk), shrinkage)


def _spread(covariance: np.ndarray, start: np.ndarray) -> float:
    """Roughly the largest eigenvalue: x A y after six products, as published. From below, and often far."""
    ahead = _unit(covariance @ start)
    for _ in range(_PRODUCTS):
        ahead, behind = _unit(covariance @ ahead), ahead
    return float(ahead @ covariance @ behind)


def _unit(vector: np.ndarray) -> np.ndarray:
    return vector / max(np.linalg.norm(vector), np.finfo(float).tiny)


def shrink(covariance: np.ndarray, shrinkage: float, dimensions: int) -> np.ndarray:
    """(1 - s) covariance + s (its mean variance over `dimensions`) identity."""
    shrunk = (1 - shrinkage) * covariance
    shrunk[np.diag_indices_from(shrunk)] += shrinkage * np.trace(covariance) / dimensions
    return shrunk


def posterior(
    coordinates: np.ndarray, means: np.ndarray, share: np.ndarray, covariance: np.ndarray
) -> np.ndarray:
    """Class probabilities float64[images, classes] of Gaussians with one covariance.

    Args:
        coordinates: float64[images, r].
        means: float64[classes, r].
        share: float64[classes], prior probabilities.
        covariance: float64[r, r].
    """
    directions = linalg.cho_solve(linalg.cho_factor(covariance), means.T)
    offset = np.log(share) - 0.5 * np.einsum("kr,rk->k", means, directions)
    return softmax(coordinates @ directions + offset, axis=1)
