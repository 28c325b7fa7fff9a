"""First and second moments of features: what most scores are functions of.

Centred features are held as coordinates of as few axes as they need: with fewer images than features, they
are turned (a rotation, by the images' n x n Gram matrix) into at most n axes. No distance, product or
spectrum changes, and no features x features matrix is made.
"""

from dataclasses import dataclass

import numpy as np
from scipy import sparse

_ROUNDING = np.finfo(np.float64).eps


@dataclass(frozen=True)
class Axes:
    """Principal axes of features: eigenvalues and eigenvectors of their scatter.

    Attributes:
        values: float64[r], falling, none below 0.
        vectors: float64[r, r], one a column.
    """

    values: np.ndarray
    vectors: np.ndarray

    @property
    def rank(self) -> int:
        """How many eigenvalues are above rounding errors."""
        return int(above_rounding(self.values).sum())


@dataclass(frozen=True)
class Moments:
    """Moments of features in n images of k classes, in r = min(images, features) axes.

    Attributes:
        dimensions: how many features there are.
        counts: int64[k], images of each class.
        coordinates: float64[n, r], centred features.
        ones: float64[r], the vector of a one for each feature, in these axes.
        class_means: float64[k, r], of the coordinates.
        scatter: float64[r, r], coordinates^T coordinates.
        turned: whether the axes are the principal ones, with fewer images than features.
    """

    dimensions: int
    counts: np.ndarray
    coordinates: np.ndarray
    ones: np.ndarray
    class_means: np.ndarray
    scatter: np.ndarray
    turned: bool

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, classes: int) -> "Moments":
        """Moments of float64[n, features] with labels int64[n] below `classes`, each of which occurs."""
        centred = features - features.mean(0)
        turned = features.shape[0] < features.shape[1]
        if turned:
            coordinates, ones, scatter = _turned(centred)
        else:
            coordinates, ones, scatter = centred, np.ones(centred.shape[1]), centred.T @ centred
        counts = np.bincount(labels, minlength=classes)
        means = class_sums(coordinates, labels, classes) / counts[:, None]
        return cls(features.shape[1], counts, coordinates, ones, means, scatter, turned)

    @property
    def between(self) -> np.ndarray:
        """float64[r, r], scatter of the class means, each counted as often as its class has images."""
        weighted = self.class_means * np.sqrt(self.counts)[:, None]
        return weighted.T @ weighted

    def axes(self) -> Axes:
        """The principal axes."""
        if self.turned:
            return Axes(np.diag(self.scatter), np.eye(len(self.scatter)))
        return Axes(*spectrum(self.scatter))


def _turned(centred: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(coordinates, ones, scatter) on the principal axes."""
    values, images = spectrum(centred @ centred.T)
    coordinates = images * np.sqrt(values)
    ones = np.zeros(len(values))
    known = above_rounding(values)
    ones[known] = (coordinates.T @ centred.sum(1))[known] / values[known]
    return coordinates, ones, np.diag(values)


def spectrum(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues [..., r], falling, none below 0, and eigenvectors [..., r, r] of Gram matrices."""
    values, vectors = np.linalg.eigh(gram)
    return np.maximum(values[..., ::-1], 0.0), vectors[..., ::-1]


def above_rounding(values: np.ndarray) -> np.ndarray:
    """Which of the falling eigenvalues [..., r] are no rounding errors, bool[..., r]."""
    return values > values[..., :1] * values.shape[-1] * _ROUNDING


def class_sums(values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Sums of rows [n, ...] over each class, float64[classes, ...]."""
    rows = np.arange(len(labels))
    member = sparse.csr_array((np.ones(len(labels)), (labels, rows)), shape=(classes, len(labels)))
    return member @ values


def by_class(labels: np.ndarray, classes: int) -> list[np.ndarray]:
    """Rows int64 of each class, in their order."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, classes)))


def spread(labels: np.ndarray, most: int) -> np.ndarray:
    """At most `most` rows, evenly over the rows in the order of classes: each class keeps its share."""
    order = np.argsort(labels, kind="stable")
    if len(order) <= most:
        return np.arange(len(order))
    return np.sort(order[np.linspace(0, len(order) - 1, most).round().astype(np.int64)])
