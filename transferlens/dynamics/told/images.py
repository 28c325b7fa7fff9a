"""Unbiased CKA of features with an interval over images, from leaving out one image at a time.

Leaving out an image changes the unbiased HSIC of Song et al. (2012) by sums over its rows of the Gram
matrices alone: all images are left out, each in its turn, at the cost of a few products of features.
"""

import numpy as np
import torch
from torch import Tensor

from transferlens.core.statistics import jackknife_interval, jackknife_se
from transferlens.dynamics.similarity.minibatch import Estimate

# A share of the inner product of whole Grams below which nothing but rounding is left of its unbiased part.
_ROUNDING = 1e-12


def to_first(features: Tensor) -> Estimate:
    """CKA of features float64[steps, n, d] of n > 4 images with the first of them, float64[steps] each.

    The interval is Student's with n - 1 degrees of freedom, for other images. Features that are the same to
    the bit are similar by exactly 1; constant ones by NaN.
    """
    shifted = features - features[:, :1]
    centred = _narrowed(shifted - shifted.mean(1, keepdim=True))
    start = centred[:1].expand_as(centred)
    between, first, second = (_hsic(*pair) for pair in ((start, centred), (start, start), (centred, centred)))
    similar = torch.where((first > 0) & (second > 0), between / (first * second).sqrt(), torch.nan)
    same = (shifted == shifted[:1]).all(2).all(1) & ~similar.isnan()
    value, *without = torch.where(same, 1.0, similar).numpy()
    found = jackknife_interval(value, np.stack(without))
    return Estimate(value, jackknife_se(np.stack(without)), found.low, found.high)


def _narrowed(features: Tensor) -> Tensor:
    """Features [steps, n, d] with at most n of them, whose inner products are the same."""
    n, d = features.shape[1:]
    return features if d <= n else torch.linalg.qr(features.mT, mode="r").R.mT


def _hsic(x: Tensor, y: Tensor) -> Tensor:
    """Unbiased HSIC [1 + n, steps] of centred features [steps, n, d] of all images, and without each.

    Times n (n - 3), or likewise without an image: a ratio of them does not know.
    """
    n, shared = x.shape[1], x.mT @ y
    # Of Gram matrices K and L with zero diagonals: sums u and v of their rows, and the diagonal of K L.
    a, b = x.square().sum(2), y.square().sum(2)
    u, v, both = -a, -b, ((x @ shared) * y).sum(2) - a * b
    crossed = _times(x, v) - a * v + _times(y, u) - b * u  # K v + L u
    whole = shared.square().sum((1, 2))
    total, products = both.sum(1), (u * v).sum(1)
    found = _unbiased(n, total, u.sum(1), v.sum(1), products)
    without = _unbiased(
        n - 1,
        total[:, None] - 2 * both,
        u.sum(1, keepdim=True) - 2 * u,
        v.sum(1, keepdim=True) - 2 * v,
        products[:, None] - u * v - crossed + both,
    )
    made = torch.cat([found[None], without.T])
    return torch.where(made.abs() > _ROUNDING * whole, made, 0)


def _times(x: Tensor, vector: Tensor) -> Tensor:
    """The Gram matrices of features [steps, n, d] times vectors [steps, n]."""
    return (x @ (x.mT @ vector[:, :, None]))[:, :, 0]


def _unbiased(n: int, total: Tensor, first: Tensor, second: Tensor, products: Tensor) -> Tensor:
    """Song et al. (2012), equation 5, times n (n - 3).

    Args:
        total: sum of the product of two Gram matrices with zero diagonals, element by element.
        first, second: sums of each.
        products: inner product of the sums of their rows.
    """
    return total + first * second / ((n - 1) * (n - 2)) - 2 / (n - 2) * products
