"""Centred features and matrices, rank, and as few axes as features need."""

from typing import NamedTuple

import torch

from transferlens.core.errors import TransferlensError

RANK_CUT = 1e-6  # of the largest singular value: what is below is no direction of features held in float32


class Undefined(TransferlensError):
    """A metric that features do not have; the message says why. A table shows NaN and the message."""


class Rows(NamedTuple):
    """One row of numbers for each image, float64[n, r]."""

    values: torch.Tensor

    @property
    def dimensions(self) -> int:
        """r."""
        return self.values.shape[1]

    def permuted(self, order: torch.Tensor) -> "Rows":
        """Of the images in another order int64[n]."""
        return Rows(self.values[order])


class Thin(NamedTuple):
    """Singular vectors and values of a matrix [n, d], up to its rank r.

    Attributes:
        images: float64[n, r], orthonormal columns.
        values: float64[r], falling, above RANK_CUT of the first.
    """

    images: torch.Tensor
    values: torch.Tensor


def centred(features: torch.Tensor) -> torch.Tensor:
    """Minus the mean of each column [n, d]; exactly 0, not a rounding error, where a column is constant."""
    shifted = features - features[0]
    return shifted - shifted.mean(0)


def double_centred(pairs: torch.Tensor) -> torch.Tensor:
    """A symmetric matrix [n, n] less the means of its rows and columns."""
    return pairs - pairs.mean(0) - pairs.mean(1, keepdim=True) + pairs.mean()


def coordinates(features: torch.Tensor) -> torch.Tensor:
    """Rows [n, min(n, d)] with the inner products of those of features [n, d]: a rotation into fewer axes."""
    n, d = features.shape
    return features if d <= n else coordinates_of_gram(features @ features.T)


def coordinates_of_gram(gram: torch.Tensor) -> torch.Tensor:
    """Rows [n, n] whose inner products are a Gram matrix [n, n]."""
    values, vectors = torch.linalg.eigh(gram)
    return vectors * _above_rounding(values).sqrt()


def thin(features: torch.Tensor) -> Thin:
    """The thin singular value decomposition of [n, d] up to its rank.

    With more features than images by way of the n x n Gram matrix.

    Raises:
        Undefined: features that are all zero, as those of a constant layer are once they are centred.
    """
    n, d = features.shape
    if d <= n:
        images, values, _ = torch.linalg.svd(features, full_matrices=False)
    else:
        squares, vectors = torch.linalg.eigh(features @ features.T)
        images, values = vectors.flip(1), _above_rounding(squares).sqrt().flip(0)
    return cut(images, values)


def cut(images: torch.Tensor, values: torch.Tensor) -> Thin:
    """What is above the relative rank cut."""
    refuse_constant(values[0])
    rank = int((values > RANK_CUT * values[0]).sum())
    return Thin(images[:, :rank], values[:rank])


def refuse_constant(size: torch.Tensor) -> None:
    """Refuse centred features whose `size`, any norm of them, is zero."""
    if size == 0:
        raise Undefined("constant: all images have the same features")


def _above_rounding(eigenvalues: torch.Tensor) -> torch.Tensor:
    """Rising eigenvalues [n], with zero for those that are rounding errors."""
    least = eigenvalues[-1] * len(eigenvalues) * torch.finfo(eigenvalues.dtype).eps
    return torch.where(eigenvalues > least, eigenvalues, 0)
