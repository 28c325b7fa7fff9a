"""k-NN: share of images whose k nearest other images (by vote) have their class: leave-one-out accuracy.

k is 1, 5 or 20; the distance Euclidean or one minus the cosine. An image is never its own neighbour (its
distance to itself counts as infinite, so that duplicates are neighbours); of images at the same distance
the earlier one is nearer; of classes with the same number of votes that of the nearest neighbour among them
wins. The weighted form counts each of 20 neighbours as exp(cosine / .07).
Source: the baseline of Sorkhei et al., arXiv 2503.18528, and, with k = 1, of PARC's published code.
"""

from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import numpy as np

from transferlens.scores.candidate import Candidate, Unavailable

MOST = 20  # neighbours
_CELLS = 1 << 20  # distances in memory at a time
_GROUPS = 128  # of columns, more than MOST
_TEMPERATURE = 0.07


class Neighbours(NamedTuple):
    """Other rows of features, the nearest first, and their squared distances, both [images, k]."""

    rows: np.ndarray
    distances: np.ndarray


def knn(k: int, metric: str) -> Callable[[Candidate], float]:
    """Leave-one-out accuracy of the vote of k neighbours; metric: `euclidean` or `cosine`."""
    return partial(_accuracy, k=k, metric=metric)


def weighted(candidate: Candidate) -> float:
    """Leave-one-out accuracy of the weighted vote of the 20 nearest by cosine."""
    near = _neighbours(candidate, MOST, "cosine")
    weights = np.exp((1 - near.distances / 2) / _TEMPERATURE)  # of unit vectors: |x - y|^2 = 2 - 2 cosine
    labels = candidate.labels[near.rows]
    votes = np.zeros((len(labels), candidate.classes))
    np.add.at(votes, (np.arange(len(labels))[:, None], labels), weights)
    return float((votes.argmax(1) == candidate.labels).mean())


def _accuracy(candidate: Candidate, k: int, metric: str) -> float:
    near = _neighbours(candidate, k, metric)
    return float((vote(candidate.labels[near.rows]) == candidate.labels).mean())


def _neighbours(candidate: Candidate, k: int, metric: str) -> Neighbours:
    """The k nearest other images; those of all k are found at once."""
    others = len(candidate.labels) - 1
    if others < k:
        raise Unavailable(f"needs more than {k} images, and there are {others + 1}")
    make = partial(neighbours, candidate.features, min(MOST, others), metric)
    found = candidate.shared.part(f"neighbours {metric}", make)
    return Neighbours(found.rows[:, :k], found.distances[:, :k])


def vote(labels: np.ndarray) -> np.ndarray:
    """The class int64[images] with most votes among labels int64[images, neighbours], nearest first."""
    votes = (labels[:, :, None] == labels[:, None, :]).sum(2)
    return labels[np.arange(len(labels)), votes.argmax(1)]  # the first, so nearest, of the largest


def neighbours(features: np.ndarray, k: int, metric: str) -> Neighbours:
    """The k nearest other rows of features float64[images, features], found in blocks of rows."""
    if metric == "cosine":
        features = _unit(features)
    images = len(features)
    padded = np.zeros((-images % _GROUPS + images, features.shape[1]))
    padded[:images] = features
    squares = np.einsum("nd,nd->n", padded, padded)
    squares[images:] = np.inf  # nobody's neighbours
    rows = max(_CELLS // images, 1)
    blocks = [slice(i, min(i + rows, images)) for i in range(0, images, rows)]
    found = [_nearest(padded, squares, block, k) for block in blocks]
    return Neighbours(*(np.concatenate(parts) for parts in zip(*found, strict=True)))


def _unit(features: np.ndarray) -> np.ndarray:
    """Rows of length one."""
    length = np.linalg.norm(features, axis=1, keepdims=True)
    return features / np.maximum(length, np.finfo(float).tiny)


def _nearest(features: np.ndarray, squares: np.ndarray, block: slice, k: int) -> Neighbours:
    """The k nearest other rows of a block of rows."""
    distance = (-2 * features[block]) @ features.T
    distance += squares  # less the row's own, which changes no order
    own = np.arange(len(distance))
    distance[own, own + block.start] = np.inf
    # The k-th least of the least of each group of columns: at least k columns are as near, and few more.
    least = distance.reshape(len(own), -1, _GROUPS).min(1)
    bound = np.partition(least, k - 1, axis=1)[:, k - 1 : k]
    row, column = np.nonzero(distance <= bound)
    near = distance[row, column]
    first = np.searchsorted(row, own)
    kept = np.lexsort((column, near, row))[first[:, None] + np.arange(k)]
    return Neighbours(column[kept], near[kept] + squares[block, None])
