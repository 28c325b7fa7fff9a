"""PARC: rank correlation of how unlike images are in features and in labels, over all pairs of images.

    PARC = 100 Spearman( 1 - corr(features of i, features of j), [labels of i and j differ] ),   i < j

with features on their 32 axes of largest variance, each scaled to variance one, and corr Pearson's between the
features of the two images. It depends on the axes' signs, which mean nothing: each axis has the one that makes its
largest loading positive, as scikit-learn's PCA, which the published code takes. 1 - corr of one-hot labels takes
two values, so the rank correlation is that with an indicator.
Source: Bolya, Mittapalli, Hoffman, Scalable diverse model selection for accessible transfer learning, NeurIPS 2021.
Distances are rounded to 2e-6, so that ranks are counted and pairs need not be held. Of more than 5,000 images, that many are taken, evenly from every class: there are half as many pairs as the square.
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
    pairs = all_pairs(centred)
    alike = sum(all_pairs(centred[rows]) for rows in by_class(labels, labels.max() + 1))
    ranks = np.cumsum(pairs) - (pairs - 1) / 2  # mean rank of a bin
    total, share = pairs.sum(), alike.sum() / pairs.sum()
    variance = ((total**3 - total) - (pairs**3 - pairs).sum()) / (12 * total)
    covariance = share * ((total + 1) / 2 - alike @ ranks / alike.sum())
    return float(covariance / np.sqrt(variance * share * (1 - share)))


def all_pairs(rows: np.ndarray) -> np.ndarray:
    """How many pairs of unit vectors float64[n, d] are at each distance 1 - x y, float64[bins]."""
    counts = np.zeros(_BINS + 1)
    for start in range(0, len(rows), _ROWS):
        block = rows[start : start + _ROWS] @ rows[start:].T
        bins = np.clip((1 - block) * (_BINS / 2), 0, _BINS - 1).astype(np.int64)
        own = bins[:, : len(bins)]
        own[np.tril_indices(len(own))] = _BINS  # each pair once
        counts += np.bincount(bins.ravel(), minlength=_BINS + 1)
    return counts[:_BINS]
