"""k-NN: share of images whose k nearest other images (by vote) have their class: leave-one-out accuracy.

k is 1, 5 or 20; the distance Euclidean or one minus the cosine. An image is never its own neighbour (its
distance to itself counts as infinite, so that duplicates are neighbours); of images at the same distance
the earlier one is nearer; of classes with the same number of votes that of the nearest neighbour among them
wins. Source: the baseline of Sorkhei et al., arXiv 2503.18528, and, with k = 1, of PARC's published code.
"""

from collections.abc import Callable
from functools import partial

import numpy as np

from transferlens.scores.candidate import Candidate, Unavailable

MOST = 20  # neighbours
_CELLS = 1 << 20  # distances in memory at a time
_GROUPS = 128  # of columns


def knn(k: int, metric: str) -> Callable[[Candidate], float]:
    """Leave-one-out accuracy of the vote of k neighbours; metric: `euclidean` or `cosine`."""
    return partial(_accuracy, k=k, metric=metric)


def _accuracy(candidate: Candidate, k: int, metric: str) -> float:
    if len(candidate.labels) <= k:
        raise Unavailable(f"needs more than {k} images, and there are {len(candidate.labels)}")
    most = min(MOST, len(candidate.labels) - 1)
    make = partial(neighbours, candidate.features, most, metric)
    near = candidate.shared.part(f"neighbours {metric}", make)
    return float((vote(candidate.labels[near[:, :k]]) == candidate.labels).mean())


def vote(labels: np.ndarray) -> np.ndarray:
    """The class int64[images] with most votes among labels int64[images, neighbours], nearest first."""
    votes = (labels[:, :, None] == labels[:, None, :]).sum(2)
    return labels[np.arange(len(labels)), votes.argmax(1)]  # the first, so nearest, of the largest


def neighbours(features: np.ndarray, k: int, metric: str) -> np.ndarray:
    """The k nearest other rows int64[images, k], nearest first, in blocks of rows."""
    if metric == "cosine":
        length = np.linalg.norm(features, axis=1, keepdims=True)
        features = features / np.maximum(length, np.finfo(float).tiny)
    images = len(features)
    padded = np.zeros((-images % _GROUPS + images, features.shape[1]))
    padded[:images] = features
    squares = np.einsum("nd,nd->n", padded, padded)
    squares[images:] = np.inf  # nobody's neighbours
    rows = max(_CELLS // images, 1)
    blocks = [slice(i, min(i + rows, images)) for i in range(0, images, rows)]
    return np.concatenate([_nearest(padded, squares, block, k) for block in blocks])


def _nearest(features: np.ndarray, squares: np.ndarray, block: slice, k: int) -> np.ndarray:
    """The k nearest other rows of a block of rows, int64[rows, k]."""
    distance = (-2 * features[block]) @ features.T
    distance += squares
    own = np.arange(len(distance))
    distance[own, own + block.start] = np.inf
    # The k-th least of the least of each group of columns: at least k columns are as near, and few more.
    least = distance.reshape(len(own), -1, _GROUPS).min(1)
    bound = np.partition(least, k - 1, axis=1)[:, k - 1 : k]
    row, column = np.nonzero(distance <= bound)
    order = np.lexsort((column, distance[row, column], row))
    first = np.searchsorted(row, own)
    return column[order][first[:, None] + np.arange(k)]
