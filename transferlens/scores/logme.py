"""LogME: evidence of a Bayesian linear regression from features to labels, one class against the rest.

    evidence / N of y ~ N(F m, 1/b), m ~ N(0, 1/a), at the a, b that maximise it, mean over classes:
    [ d/2 log a + N/2 log b - 1/2 sum log(a + b s_i) - b/2 |F m - y|^2 - a/2 |m|^2 - N/2 log 2 pi ] / N

with s the eigenvalues of F^T F (features not centred) and the fixed point a = g / |m|^2, b = (N - g) / |F m
- y|^2, g = sum b s / (a + b s), in at most 11 rounds, as in the authors' code. Sources: You, Liu, Wang,
Long, LogME: practical assessment of pre-trained models for transfer learning, ICML 2021; the fixed point:
You et al., Ranking and tuning pre-trained models, JMLR 2022.

Only the smaller of F^T F and F F^T is decomposed.
"""

from typing import NamedTuple

import numpy as np

from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import above_rounding, spectrum

_ROUNDS = 11
_CHANGE = 1e-3  # relative, of a / b, below which the fixed point has been reached


class Projection(NamedTuple):
    """Labels against the singular directions of the features of one or several models [...].

    Attributes:
        spectrum: float64[..., 1, r], squared singular values of the features; rounding errors are 0.
        within: float64[..., classes, r], squared products of each class's indicator with their left vectors.
        outside: float64[..., classes], squared norm of what of the indicators no feature reaches.
        images, dimensions: sides of the features.
    """

    spectrum: np.ndarray
    within: np.ndarray
    outside: np.ndarray
    images: int
    dimensions: int


def logme(candidate: Candidate) -> float:
    """Mean evidence of the classes for each image."""
    return float(batched(candidate.features, candidate.labels, candidate.classes))


def batched(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """LogME [...] of features float64[..., images, features] of models with the same labels int64[images].

    Faster than one by one where models are small.
    """
    return evidence(project(features, labels, classes))


def project(features: np.ndarray, labels: np.ndarray, classes: int) -> Projection:
    """The labels against the features' singular directions, by the smaller of the two Gram matrices."""
    images, dimensions = features.shape[-2:]
    member = np.eye(classes)[labels]
    turned = np.swapaxes(features, -1, -2)
    if images < dimensions:
        values, left = spectrum(features @ turned)
        known = above_rounding(values)[..., None, :]
        within = np.where(known, member.T @ left, 0.0) ** 2
    else:
        values, right = spectrum(turned @ features)
        known = above_rounding(values)[..., None, :]
        products = member.T @ features @ right
        within = np.divide(products**2, values[..., None, :], out=np.zeros_like(products), where=known)
    outside = np.maximum(member.sum(0) - within.sum(-1), 0.0)
    return Projection(np.where(known, values[..., None, :], 0.0), within, outside, images, dimensions)


def evidence(projection: Projection) -> np.ndarray:
    """Evidence an image [...] at the fixed point, mean over classes."""
    a, b = np.ones((2, *projection.outside.shape))
    for _ in range(_ROUNDS):
        effective, weight, residual = _posterior(projection, a, b)
        before = a / b
        a, b = effective / weight, (projection.images - effective) / residual
        if (np.abs(a / b - before) <= _CHANGE * before).all():
            break
    return _log_evidence(projection, a, b).mean(-1) / projection.images


def _posterior(projection: Projection, a: np.ndarray, b: np.ndarray) -> tuple[np.ndarray, ...]:
    """(effective parameters g, |m|^2, |F m - y|^2), each float64[..., classes]."""
    s, ratio = projection.spectrum, (a / b)[..., None]
    effective = (s / (s + ratio)).sum(-1)
    weight = (projection.within * s / (s + ratio) ** 2).sum(-1)
    residual = (projection.within * (ratio / (s + ratio)) ** 2).sum(-1) + projection.outside
    return effective, weight, residual


def _log_evidence(projection: Projection, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[..., classes], log evidence at given precisions."""
    n, d = projection.images, projection.dimensions
    _, weight, residual = _posterior(projection, a, b)
    unused = d - projection.spectrum.shape[-1]  # directions without variance: a + b s is a
    volume = np.log(a[..., None] + b[..., None] * projection.spectrum).sum(-1) + unused * np.log(a)
    return 0.5 * (d * np.log(a) + n * np.log(b) - volume - b * residual - a * weight - n * np.log(2 * np.pi))
