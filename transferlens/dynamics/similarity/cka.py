"""Centred kernel alignment (CKA) of two sets of features of the same images.

All take arrays [n, d] and [n, d'], whose row i is image i's in both, and give one number; NaN where it is not
defined (`why_undefined` says why). Nothing is clipped: unbiased values may lie below 0.
"""

from math import sqrt

import torch
from torch import Tensor

from transferlens.dynamics.similarity.arrays import Array, same_images
from transferlens.dynamics.similarity.axes import centred, double_centred
from transferlens.dynamics.similarity.distances import gaussian
from transferlens.dynamics.similarity.grams import u_centred

# An inner product that is a smaller share of the whole Gram's is what rounding leaves of zero.
_ROUNDING = 1e-12


def linear(x: Array, y: Array) -> float:
    """Biased linear CKA (Kornblith et al. 2019), in [0, 1].

    Of independent features it is far above 0 where images are few beside the features.
    """
    first, second = map(centred, same_images(x, y))
    if _by_features(first, second):
        return _ratio(*(_square(a.T @ b) for a, b in _pairs(first, second)))
    return _ratio(*(_inner(a, b) for a, b in _pairs(first @ first.T, second @ second.T)))


def unbiased(x: Array, y: Array) -> float:
    """Linear CKA from unbiased estimates of HSIC (Song et al. 2012): 0 on average where nothing
    is shared, however few the images.
    """
    first, second = map(centred, same_images(x, y))
    if _by_features(first, second):
        return _ratio(*(_u_inner(a, b) for a, b in _pairs(first, second)))
    return _u_ratio(first @ first.T, second @ second.T)


def rbf(x: Array, y: Array, tau: float = 0.5, unbiased: bool = False) -> float:
    """CKA of Gaussian kernels exp(-|x_i - x_j|^2 / (2 tau^2 m)) (Kornblith et al. 2019).

    m is the median of all n^2 squared distances, those of images to themselves included.
    """
    first, second = (gaussian(each, tau) for each in same_images(x, y))
    if unbiased:
        return _u_ratio(first, second)
    return _ratio(*(_inner(a, b) for a, b in _pairs(double_centred(first), double_centred(second))))


def partial(x: Array, y: Array, z: Array) -> float:
    """Unbiased linear CKA of what features z (of the same images, such as their pixels) do not explain.

    The U-centred Grams of x and y lose their projections on that of z (Szekely and Rizzo 2014).
    """
    first, second, given = (u_centred(_gram(centred(each))) for each in same_images(x, y, z))
    return _ratio(*(_inner(a, b) for a, b in _pairs(_residual(first, given), _residual(second, given))))


def why_undefined(x: Array) -> str | None:
    """Why similarities with these features [n, d] are NaN, in words; None if they are not."""
    (features,) = same_images(x)
    varying = centred(features)
    if not varying.any():
        return "all images have the same features"
    if not u_centred(_gram(varying)).any():
        return "but for one image, all have the same features"
    return None


def _gram(features: Tensor) -> Tensor:
    return features @ features.T


def _by_features(x: Tensor, y: Tensor) -> bool:
    """Whether products of features [d, d'] cost less than Gram matrices [n, n]."""
    n, d, e = len(x), x.shape[1], y.shape[1]
    return d * d + d * e + e * e < n * (d + e)


def _pairs(x: Tensor, y: Tensor) -> tuple[tuple[Tensor, Tensor], ...]:
    return (x, y), (x, x), (y, y)


def _square(matrix: Tensor) -> float:
    return float(matrix.square().sum())


def _inner(a: Tensor, b: Tensor) -> float:
    return float((a * b).sum())


def _u_inner(x: Tensor, y: Tensor) -> float:
    """<A, B> of the U-centred Grams of centred features x [n, d] and y [n, d'], from products of features."""
    n = len(x)
    own, other = x.square().sum(1), y.square().sum(1)
    whole = _square(x.T @ y)
    found = whole - n / (n - 2) * _inner(own, other) + float(own.sum() * other.sum()) / ((n - 1) * (n - 2))
    return found if abs(found) > _ROUNDING * whole else 0.0


def _u_ratio(first: Tensor, second: Tensor) -> float:
    """CKA of Gram matrices [n, n], U-centred."""
    return _ratio(*(_inner(a, b) for a, b in _pairs(u_centred(first), u_centred(second))))


def _ratio(between: float, first: float, second: float) -> float:
    return between / sqrt(first * second) if first > 0 and second > 0 else float("nan")


def _residual(matrix: Tensor, given: Tensor) -> Tensor:
    """A U-centred Gram without its projection on another; nothing if it is a multiple of that."""
    square = _inner(given, given)
    if square == 0:
        return matrix
    left = matrix - _inner(matrix, given) / square * given
    return left if _square(left) > _ROUNDING * _square(matrix) else torch.zeros_like(left)
