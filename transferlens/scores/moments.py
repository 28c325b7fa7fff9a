"""First and second moments of features: what most scores are functions of.

Centred features are held as coordinates of as few axes as they need: with fewer images than features, the
features are turned (a rotation, by the images' n x n Gram matrix) into at most n axes. No distance, product or
spectrum changes, and no features x features matrix is made.
"""

from dataclasses import dataclass

import numpy as np

# Eigenvalues below this share of the largest (times the matrix's side) are rounding errors.
_ROUNDING = np.finfo(np.float64).eps


@dataclass(frozen=True)
class Moments:
    """Moments of features in n images of k classes, in r = min(images, features) axes.

    Attributes:
        dimensions: how many features there are.
        counts: int64[k], images of each class.
        coordinates: float64[n, r], centred features.
        class_means: float64[k, r], of the coordinates.
        ones: float64[r], the vector of a one for each feature, in these axes.
        scatter: float64[r, r], coordinates^T coordinates.
        values: float64[r], eigenvalues of the scatter, falling, none below 0.
        vectors: float64[r, r], its eigenvectors, one a column.
    """

    dimensions: int
    counts: np.ndarray
    coordinates: np.ndarray
    ones: np.ndarray
    class_means: np.ndarray
    scatter: np.ndarray
    values: np.ndarray
    vectors: np.ndarray

    @classmethod
    def of(cls, features: np.ndarray, labels: np.ndarray, classes: int) -> "Moments":
        """Moments of float64[n, features] with labels int64[n] below `classes`, each of which occurs."""
        centred = features - features.mean(0)
        if len(features) < features.shape[1]:
            values, images = spectrum(centred @ centred.T)
            coordinates, scatter, vectors = images * np.sqrt(values), np.diag(values), np.eye(len(values))
            ones = _divided(coordinates.T @ centred.sum(1), values)
        else:
            coordinates, scatter, ones = centred, centred.T @ centred, np.ones(features.shape[1])
            values, vectors = spectrum(scatter)
        counts = np.bincount(labels, minlength=classes)
        means = class_sums(coordinates, labels, classes) / counts[:, None]
        return cls(features.shape[1], counts, coordinates, ones, means, scatter, values, vectors)

    @property
    def rank(self) -> int:
        """How many eigenvalues are above rounding errors."""
        return numerical_rank(self.values)

    @property
    def between(self) -> np.ndarray:
        """float64[r, r], scatter of the class means, each counted as often as its class has images."""
        weighted = self.class_means * np.sqrt(self.counts)[:, None]
        return weighted.T @ weighted

    def principal(self, components: int) -> np.ndarray:
        """Coordinates float64[n, components] along the axes of largest variance."""
        return self.coordinates @ self.vectors[:, :components]


def spectrum(symmetric: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Eigenvalues [..., r], falling, none below 0, and eigenvectors [..., r, r] of Gram matrices."""
    values, vectors = np.linalg.eigh(symmetric)
    return np.maximum(values[..., ::-1], 0.0), vectors[..., ::-1]


def _divided(numbers: np.ndarray, values: np.ndarray) -> np.ndarray:
    """numbers / values, 0 where a value is a rounding error."""
    quotient = np.zeros_like(numbers)
    rank = numerical_rank(values)
    quotient[:rank] = numbers[:rank] / values[:rank]
    return quotient


def numerical_rank(values: np.ndarray) -> int:
    """How many of the falling eigenvalues are above rounding errors."""
    return int((values > values[0] * len(values) * _ROUNDING).sum())


def class_sums(values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """float64[classes, ...], sums over the rows of each class; every class occurs."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(classes))
    return np.add.reduceat(values[order], starts, axis=0)


def by_class(labels: np.ndarray, classes: int) -> list[np.ndarray]:
    """Rows int64 of each class, in their order."""
    order = np.argsort(labels, kind="stable")
    return np.split(order, np.searchsorted(labels[order], np.arange(1, classes)))


def spread(labels: np.ndarray, most: int) -> np.ndarray:
    """At most `most` rows, evenly over the rows in the order of classes: each class keeps its share."""
    order = np.argsort(labels, kind="stable")
    if len(order) <= most:
        return np.sort(order)
    return np.sort(order[np.linspace(0, len(order) - 1, most).round().astype(np.int64)])
