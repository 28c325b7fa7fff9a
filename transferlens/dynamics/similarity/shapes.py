"""Similarity of shapes: how well one cloud of images is turned onto another.

Orthogonal Procrustes and partially whitened shapes: Williams et al., Generalized shape metrics on neural
representations, 2021; the squared distance is that of Ding et al., Grounding representation similarity, 2021.
All are biased: of unrelated features, the more alike the more features there are for the images.
"""

import math

import torch

from transferlens.dynamics.similarity.arrays import Array, same_images
from transferlens.dynamics.similarity.axes import (
    Rows,
    centred,
    coordinates,
    coordinates_of_gram,
    double_centred,
    refuse_constant,
    thin,
)


def shape(features: torch.Tensor, whitening: float = 0.0) -> Rows:
    """Centred features [n, d] on as few axes as they need, whitened by a share, of Frobenius norm 1.

    With X = U diag(s) V^T, s scaled to a root mean square of 1, this is U diag((1 - w) s + w). Scaled, so
    that neither the size of the features nor a floor under s decides how much is whitened.

    Raises:
        Undefined: of a constant layer.
    """
    values = centred(features)
    if whitening:
        images, sizes = thin(values)
        sizes = sizes / sizes.square().mean().sqrt()
        values = images * ((1 - whitening) * sizes + whitening)
    return _normed(coordinates(values))


def shape_of_gram(gram: torch.Tensor) -> Rows:
    """The shape, not whitened, of features whose Gram matrix float64[n, n] is known, centred or not."""
    return _normed(coordinates_of_gram(double_centred(gram)))


def _normed(values: torch.Tensor) -> Rows:
    size = values.norm()
    refuse_constant(size)
    return Rows(values / size)


def procrustes(one: Rows, other: Rows) -> float:
    """The cosine of two shapes after the best rotation: the nuclear norm of X^T Y, 0 to 1."""
    return float(torch.linalg.svdvals(one.values.T @ other.values).sum())


def whitened_closeness(one: Rows, other: Rows) -> float:
    """1 - 2 angle / pi of two shapes: 1 for the same, 0 for orthogonal ones."""
    return 1 - 2 * _angle(procrustes(one, other)) / math.pi


def squared_distance(x: Array, y: Array) -> float:
    """Squared orthogonal Procrustes distance of features [n, d], [n, d'] of norm 1: 2 - 2 similarity, 0 to 2.

    Raises:
        Undefined: of a constant layer.
    """
    return 2 - 2 * procrustes(*(shape(features) for features in same_images(x, y)))


def angle(x: Array, y: Array, whitening: float = 0.0) -> float:
    """The angle in radians, 0 to pi/2, between features [n, d] and [n, d'] as shapes; a metric.

    Args:
        x, y: of the same images.
        whitening: 0 for orthogonal Procrustes, 1 for invariance to any invertible linear map; between them a
            part of each. (alpha of Williams et al. is one minus this.)

    Raises:
        Undefined: of a constant layer.
    """
    return _angle(procrustes(*(shape(features, whitening) for features in same_images(x, y))))


def _angle(cosine: float) -> float:
    return math.acos(min(cosine, 1.0))


def rows(features: torch.Tensor) -> Rows:
    """Features [n, d] as they are.

    Raises:
        Undefined: of a constant layer.
    """
    refuse_constant((features - features[0]).abs().max())
    return Rows(features)


def aligned_cosine(one: Rows, other: Rows) -> float:
    """Mean over images of cos(x Q, y), with Q the rotation that brings them closest, -1 to 1.

    Not centred. The narrower features count as padded with zeros. An image whose features are all zero on one
    side has no direction and is skipped. Source: ReSi (Klabunde et al. 2025).
    """
    x, y = one.values, other.values
    left, sizes, right = torch.linalg.svd(x.T @ y, full_matrices=False)
    known = sizes > sizes[0] * max(x.shape[1], y.shape[1]) * torch.finfo(x.dtype).eps
    turned = x @ left[:, known] @ right[known]
    lengths = x.norm(dim=1) * y.norm(dim=1)
    directed = lengths > 0
    return float(((turned * y).sum(1)[directed] / lengths[directed]).mean())
