"""NCTI: how near the features are to neural collapse on the target: spread, class means, single classes.

    NCTI = minmax(a) + minmax(b) - minmax(c) over the pool of candidates, from
    a = nuclear norm of the centred images in the discriminant's space
    b = mean probability of the true class under the discriminant
    c = log sum over classes of the nuclear norm of the class's probabilities [images, classes]

The discriminant is a linear one on the 64 axes of largest variance (all, where there are fewer), with
shrinkage exp(-sum of the 32 largest variances), but at least 1e-10, where it is fitted without any (by
SVD). Source: Wang et al., How far pre-trained models are from neural collapse on the target dataset informs
their transferability, ICCV 2023. NaN where a part is the same for all candidates.
"""

import numpy as np

from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import by_class
from transferlens.scores.pooling import minmax

_AXES = 64
_LEAST = 1e-10
_SIGNS = np.array([1.0, 1.0, -1.0])


def ncti(candidate: Candidate) -> tuple[float, float, float]:
    """(spread a, discriminant b, collapse of each class c)."""
    labels, principal = candidate.labels, candidate.principal(_AXES)
    variances = candidate.axes.values[: _AXES // 2] / (len(labels) - 1)
    fitted = _discriminant(max(float(np.exp(-variances.sum())), _LEAST)).fit(principal, labels)
    projected = fitted.transform(principal)
    probabilities = fitted.predict_proba(principal)
    alike = sum(_nuclear(probabilities[rows]) for rows in by_class(labels, candidate.classes))
    true_class = probabilities[np.arange(len(labels)), labels].mean()
    return _nuclear(projected - projected.mean(0)), float(true_class), float(np.log(alike))


def pooled(parts: np.ndarray) -> np.ndarray:
    """Scores float64[candidates] from (a, b, c) float64[candidates, 3]."""
    return minmax(parts) @ _SIGNS


def _discriminant(shrinkage: float):
    from sklearn.discriminant_analysis import LinearDiscriminantAnalysis  # takes long to load

    if shrinkage > _LEAST:
        return LinearDiscriminantAnalysis(solver="eigen", shrinkage=shrinkage)
    return LinearDiscriminantAnalysis(solver="svd")


def _nuclear(matrix: np.ndarray) -> float:
    return float(np.linalg.norm(matrix, "nuc"))
