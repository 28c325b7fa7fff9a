"""PARC: rank correlation of how unlike images are in features and in labels, over all pairs of images.

    PARC = 100 Spearman( 1 - corr(features of i, features of j), [labels of i and j differ] ),   i < j

with features on their 32 axes of largest variance, each scaled to variance one, and corr Pearson's between
the features of the two images. It depends on the axes' signs, which mean nothing: each axis has the one
that makes its largest loading positive, as scikit-learn's PCA, which the published code takes. 1 - corr of
one-hot labels takes two values, so the rank correlation is that with an indicator. Source: Bolya,
Mittapalli, Hoffman, Scalable diverse model selection for accessible transfer learning, NeurIPS 2021.
Distances are rounded to 2e-6, so that ranks are counted and pairs need not be held. Of more than 5,000
images, that many are taken, evenly from every class: there are half as many pairs as the square.
"""

import numpy as np

from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import by_class, spread

_AXES = 32
_MOST = 5000
_ROWS = 256  # at a time
_BINS = 1 << 20  # of distances from 0 to 2


def parc(candidate: Candidate) -> float:
    """100 times the rank correlation of feature and label distances."""
    principal = candidate.principal(min(_AXES, candidate.axes.rank))
    loadings = candidate.features.T @ principal
    signs = np.sign(loadings[np.abs(loadings).argmax(0), np.arange(loadings.shape[1])])
    rows = spread(candidate.labels, _MOST)
    standardised = signs * principal[rows] / principal.std(0)
    return 100 * spearman(standardised, candidate.labels[rows])


def spearman(features: np.ndarray, labels: np.ndarray) -> float:
    """Spearman's correlation, over all pairs of rows, of 1 - corr with having different labels."""
    centred = features - features.mean(1, keepdims=True)
    centred /= np.linalg.norm(centred, axis=1, keepdims=True)
    pairs, alike = all_pairs(centred), alike_pairs(centred, labels)
    ranks = np.cumsum(pairs) - (pairs - 1) / 2  # mean rank of a bin
    total, share = pairs.sum(), len(alike) / pairs.sum()
    variance = ((total**3 - total) - (pairs**3 - pairs).sum()) / (12 * total)
    covariance = share * ((total + 1) / 2 - ranks[alike].mean())
    return float(covariance / np.sqrt(variance * share * (1 - share)))


def all_pairs(rows: np.ndarray) -> np.ndarray:
    """How many pairs of unit vectors float64[n, d] are in each bin of distances, float64[bins]."""
    counts = np.zeros(_BINS + 1)
    for start in range(0, len(rows), _ROWS):
        bins = _bins(rows[start : start + _ROWS], rows[start:])
        bins[:, : len(bins)][np.tril_indices(len(bins))] = _BINS  # each pair once
        counts += np.bincount(bins.ravel(), minlength=_BINS + 1)
    return counts[:_BINS]


def alike_pairs(rows: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """The bins int64[pairs] of all pairs with the same label."""
    classes = [rows[own] for own in by_class(labels, labels.max() + 1)]
    return np.concatenate([_bins(own, own)[np.triu_indices(len(own), 1)] for own in classes])


def _bins(rows: np.ndarray, others: np.ndarray) -> np.ndarray:
    """The bin int64[rows, others] of the distance 1 - x y of every pair."""
    distance = rows @ others.T
    distance *= -_BINS / 2
    distance += _BINS / 2
    return np.clip(distance, 0, _BINS - 1, out=distance).astype(np.int64)
