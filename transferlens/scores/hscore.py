"""H-score and its regularised form: share of the features' variance between classes, whitened.

    H(F) = tr( pinv(cov F) cov G ),   G_n = mean of the features of n's class;   0 to classes - 1
    regularised: tr( pinv(cov_a) (1 - a) cov G ),   cov_a = Ledoit-Wolf covariance with shrinkage a

Sources: Bao et al., An information-theoretic approach to transferability in task transfer learning, ICIP
2019; Ibrahim, Ponomareva, Mazumder, Newer is not always better, 2021. As in the published code of the
latter, cov G is divided by images - 1 in the regularised form, where Ledoit-Wolf's covariance is divided by
images. Directions without variance are left out of the inverse.
"""

import numpy as np

from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import above_rounding, spectrum


def hscore(candidate: Candidate) -> float:
    """Trace of the whitened scatter between classes."""
    return float(_whitened(_between(candidate), candidate.axes.values))


def batched(features: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """H-scores float64[models] of features float64[models, images, features] with the same labels.

    Faster than one by one where models are small.
    """
    centred = features - features.mean(1, keepdims=True)
    member = np.eye(classes)[labels]
    values, vectors = spectrum(np.swapaxes(centred, 1, 2) @ centred)
    sums = member.T @ centred @ vectors
    return _whitened(((sums**2) / member.sum(0)[:, None]).sum(1), values)


def _whitened(between: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Sum over axes of scatter between classes [..., r] by all scatter [..., r], where there is any."""
    known = above_rounding(values)
    return np.divide(between, values, out=np.zeros_like(values), where=known).sum(-1)


def regularised(candidate: Candidate) -> float:
    """The same with Ledoit-Wolf's shrunk covariance."""
    images = len(candidate.labels)
    shrinkage = ledoit_wolf(candidate)
    values = candidate.axes.values / images
    shrunk = (1 - shrinkage) * values + shrinkage * values.sum() / candidate.moments.dimensions
    return float((1 - shrinkage) * (_between(candidate) / shrunk).sum() / (images - 1))


def _between(candidate: Candidate) -> np.ndarray:
    """float64[r], scatter of the class means along each principal axis."""
    return candidate.moments.counts @ (candidate.moments.class_means @ candidate.axes.vectors) ** 2


def ledoit_wolf(candidate: Candidate) -> float:
    """Ledoit and Wolf's shrinkage (2004), from the images' norms and the eigenvalues alone."""
    coordinates, d = candidate.moments.coordinates, candidate.moments.dimensions
    images, values = len(coordinates), candidate.axes.values / len(coordinates)
    distance = (values**2).sum() - values.sum() ** 2 / d  # of the covariance to a multiple of the identity
    fourth = (np.einsum("nr,nr->n", coordinates, coordinates) ** 2).mean()
    noise = (fourth - (values**2).sum()) / images
    return float(min(noise, distance) / distance) if distance > 0 else 0.0
