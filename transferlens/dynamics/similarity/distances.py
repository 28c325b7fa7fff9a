"""Similarity by what is near what: correlations of the distances among images.

RSA: Kriegeskorte et al. 2008. Distance correlation: Szekely, Rizzo & Bakirov 2007; its unbiased square R*:
Szekely & Rizzo 2013, The distance correlation t-test of independence in high dimension.
"""

from typing import NamedTuple

import numpy as np
import torch

from transferlens.core.statistics import centred_ranks
from transferlens.dynamics.similarity.axes import Undefined, centred, double_centred, refuse_constant
from transferlens.dynamics.similarity.grams import u_centred

_ROUNDING = 1e-12  # of the largest distance: what differs by less is a tie
_EPSILONS = 64  # rounding errors of the largest square that a distance of equal images may come to


class Pairs(NamedTuple):
    """One number for each pair of images, float64[n, n], of Frobenius norm 1."""

    values: torch.Tensor
    dimensions: int

    def permuted(self, order: torch.Tensor) -> "Pairs":
        """Of the images in another order int64[n]."""
        return Pairs(self.values[order][:, order], self.dimensions)


def correlation(one: Pairs, other: Pairs) -> float:
    """Sum over pairs of the product of two matrices of norm 1: -1 to 1."""
    return float((one.values * other.values).sum())


def distance_correlation(one: Pairs, other: Pairs) -> float:
    """dCor, 0 to 1: the root of the correlation of double-centred distances, which is never negative."""
    return max(correlation(one, other), 0.0) ** 0.5


def squared_distances(features: torch.Tensor) -> torch.Tensor:
    """Squared Euclidean distances [n, n] of centred features [n, d]; 0 where rounding alone is left."""
    squares = features.square().sum(1)
    distances = (squares[:, None] + squares - 2 * features @ features.T).fill_diagonal_(0)
    return distances.masked_fill(distances < _EPSILONS * torch.finfo(features.dtype).eps * squares.max(), 0)


def gaussian(features: torch.Tensor, tau: float) -> torch.Tensor:
    """The Gaussian kernel exp(-|x_i - x_j|^2 / (2 tau^2 m)) [n, n] of features [n, d].

    m is the median of all n^2 squared distances, those of images to themselves included; where it is 0, for
    features that are the same for most pairs of images, all is one.
    """
    squares = squared_distances(centred(features))
    median = float(np.median(squares.numpy()))
    return torch.exp(-squares / (2 * tau**2 * median)) if median > 0 else torch.ones_like(squares)


def centred_gaussian(features: torch.Tensor, tau: float) -> Pairs:
    """The Gaussian kernel of features [n, d], less the means of its rows and columns.

    Raises:
        Undefined: where most pairs of images have the same features.
    """
    kernel = gaussian(features, tau)
    return Pairs(_normed(double_centred(kernel), kernel), features.shape[1])


def euclidean_ranks(features: torch.Tensor) -> Pairs:
    """Centred ranks of the squared Euclidean distances of features [n, d]."""
    return _ranked(squared_distances(centred(features)), features.shape[1])


def correlation_ranks(features: torch.Tensor) -> Pairs:
    """Centred ranks of one minus Pearson's correlation of two images' features [n, d].

    Raises:
        Undefined: where an image has the same value in every feature, so that it correlates with nothing.
    """
    rows = centred(features.T).T
    lengths = rows.norm(dim=1, keepdim=True)
    if (lengths == 0).any():
        raise Undefined(f"images that have one value in all features: {int((lengths == 0).sum())}")
    rows = rows / lengths
    return _ranked(1 - rows @ rows.T, features.shape[1])


def _ranked(distances: torch.Tensor, dimensions: int) -> Pairs:
    """Of each pair of two images; what differs by rounding only has one rank."""
    n = len(distances)
    i, j = torch.triu_indices(n, n, 1)
    refuse_constant(distances.max())
    whole = (distances[i, j] / distances.max() / _ROUNDING).round()
    ranks = torch.as_tensor(centred_ranks(whole.numpy()))
    matrix = torch.zeros_like(distances)
    matrix[i, j] = matrix[j, i] = ranks
    return Pairs(_normed(matrix, distances), dimensions)


def centred_distances(features: torch.Tensor) -> Pairs:
    """Euclidean distances of features [n, d], less the means of their row and column."""
    distances = squared_distances(centred(features)).sqrt()
    return Pairs(_normed(double_centred(distances), distances), features.shape[1])


def u_centred_distances(features: torch.Tensor) -> Pairs:
    """Euclidean distances of features [n, d], U-centred: unrelated features correlate by 0 in the mean."""
    distances = squared_distances(centred(features)).sqrt()
    return Pairs(_normed(u_centred(distances), distances), features.shape[1])


def _normed(matrix: torch.Tensor, made_of: torch.Tensor) -> torch.Tensor:
    """A matrix [n, n] of norm 1, unless it is nothing but rounding errors of what it was made of."""
    size = matrix.norm()
    if size <= _ROUNDING * made_of.norm():
        raise Undefined("constant: the pairs of images are equally far apart")
    return matrix / size
