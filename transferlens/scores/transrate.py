"""TransRate: how many more bits the features take than the features of each class (their coding rates).

    TransRate = R(Z) - sum_c (n_c / n) R(Z_c),   R(Z) = 1/2 log det(I + Z^T Z / (n eps)),   eps = 1e-4

with features centred once, not in every class. Weighted by class size, as in the paper; one published
implementation takes the plain mean over classes. The value depends on the features' scale, so that sources
of different scale are hardly comparable; `normalised` first divides the features by their Frobenius norm.
Source: Huang, Huang, Rong, Yang, Wei, Frustratingly easy transferability estimation, ICML 2022.
"""

import numpy as np

from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import by_class

_DISTORTION = 1e-4


def transrate(candidate: Candidate) -> float:
    """The rate reduction of centred features."""
    return _reduction(candidate, 1.0)


def normalised(candidate: Candidate) -> float:
    """The same of features whose squares sum to one."""
    return _reduction(candidate, 1 / candidate.axes.values.sum())


def _reduction(candidate: Candidate, scale: float) -> float:
    counts = candidate.moments.counts
    return total_rate(candidate, scale) - float(counts / counts.sum() @ class_rates(candidate, scale))


def total_rate(candidate: Candidate, scale: float) -> float:
    """R(Z) of features whose squares are multiplied by `scale`."""
    images = len(candidate.labels)
    return 0.5 * float(np.log1p(candidate.axes.values * scale / (images * _DISTORTION)).sum())


def class_rates(candidate: Candidate, scale: float) -> np.ndarray:
    """R(Z_c) of every class, float64[classes], by the smaller of its two Gram matrices."""
    coordinates = candidate.moments.coordinates
    return np.array(
        [_rate(coordinates[rows], scale) for rows in by_class(candidate.labels, candidate.classes)]
    )


def _rate(rows: np.ndarray, scale: float) -> float:
    gram = rows @ rows.T if rows.shape[0] < rows.shape[1] else rows.T @ rows
    gram *= scale / (len(rows) * _DISTORTION)
    gram[np.diag_indices_from(gram)] += 1.0
    return float(np.log(np.diag(np.linalg.cholesky(gram))).sum())
