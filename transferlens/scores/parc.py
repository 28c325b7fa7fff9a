"""PARC: rank correlation of how unlike images are in features and in labels, over all pairs of images.

    PARC = 100 Spearman( 1 - corr(features of i, features of j), [labels of i and j differ] ),   i < j

with features on their 32 axes of largest variance, each scaled to variance one, and corr Pearson's between the
features of the two images. It depends on the axes' signs, which mean nothing: each axis has the one that makes its
largest loading positive, as scikit-learn's PCA, which the published code takes. 1 - corr of one-hot labels takes
two values, so the rank correlation is that with an indicator.
Source: Bolya, Mittapalli, Hoffman, Scalable diverse model selection for accessible transfer learning, NeurIPS 2021.
Of more than 5,000 images, that many are taken, evenly from every class: there are half as many pairs as the square.
"""

import numpy as np

from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import spread

_AXES = 32
_MOST = 5000
_CLOSE = 1e-12  # distances that differ by less are the same up to rounding


def parc(candidate: Candidate) -> float:
    """100 times the rank correlation of feature and label distances."""
    principal = candidate.moments.principal(min(_AXES, candidate.moments.rank))
    loadings = candidate.features.T @ principal
    signs = np.sign(loadings[np.abs(loadings).argmax(0), np.arange(loadings.shape[1])])
    rows = spread(candidate.labels, _MOST)
    standardised = signs * principal[rows] / principal.std(0)
    return 100 * indicator_spearman(*pairs(standardised, candidate.labels[rows]))


def pairs(features: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(1 - corr of all pairs, sorted; those of pairs of one class), in any order."""
    centred = features - features.mean(1, keepdims=True)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    everything = np.empty(len(labels) * (len(labels) - 1) // 2)
    alike, end = [], 0
    for i in range(len(labels) - 1):
        distance = 1 - centred[i + 1 :] @ centred[i]
        everything[end : end + len(distance)] = distance
        end += len(distance)
        alike.append(distance[labels[i + 1 :] == labels[i]])
    everything.sort()
    return everything, np.concatenate(alike)


def indicator_spearman(everything: np.ndarray, alike: np.ndarray) -> float:
    """Spearman's correlation of sorted values with the indicator of not being among `alike`, with mid-ranks."""
    n, m = len(everything), len(alike)
    ranks = (np.searchsorted(everything, alike - _CLOSE) + np.searchsorted(everything, alike + _CLOSE)) / 2
    ends = np.flatnonzero(np.diff(everything) > _CLOSE) + 1
    ties = np.diff(np.concatenate([[0], ends, [n]])).astype(float)
    variance = ((n**3 - n) - (ties**3 - ties).sum()) / 12 / n
    share = m / n
    covariance = share * ((n - 1) / 2 - (ranks - 0.5).mean())
    return float(covariance / np.sqrt(variance * share * (1 - share)))
