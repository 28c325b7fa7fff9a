"""How far apart the features of two different sets of images are: the domain gap of a layer.

CKA and its like need the same images in their rows; these do not. Given a number for each layer and step,
they say whether fine-tuning brings two domains together.
Sources: MMD, Gretton et al. 2012, A kernel two-sample test; Frechet distance, Dowson & Landau 1982.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from transferlens.core.errors import ConfigError, DataError
from transferlens.core.statistics import Interval, jackknife_interval
from transferlens.dynamics.similarity.arrays import Array, same_images
from transferlens.dynamics.similarity.distances import gaussian

BLOCKS = 16
_TAU = 0.5**0.5  # the kernel is exp(-squared distance / median squared distance)
FRECHET_REASON = "no interval: where images are few for the features it is too large by more than its error"

Rows = torch.Tensor  # int64[r], rows of one set


@dataclass(frozen=True)
class Gap:
    """A gap between two sets of images.

    Attributes:
        interval: value with its 95 % interval over draws of images; its bounds are NaN if there is none.
        note: why there is no value or no interval; empty where there is one.
    """

    interval: Interval
    note: str = ""


def gaps(x: Array, y: Array, blocks: int = BLOCKS) -> dict[str, Gap]:
    """Every gap between the features [n, d] and [m, d] of two sets of images, by one network.

    `means`: squared distance of the means over the sum of both total variances, without units.
    `mmd_linear`, `mmd_rbf`: unbiased squared maximum mean discrepancy, in squared units of the features and
    without units.
    `frechet`: squared distance of two normal distributions with these means and covariances.

    The first three are 0 in the mean for sets of one kind, so that they may be negative; the last is not.

    Intervals leave out one of `blocks` blocks of both sets at a time (Student's t, blocks - 1 degrees of
    freedom); they speak of draws of images, given the network. The order of the images must say nothing about
    them: every blocks-th is in a block.

    Raises:
        DataError: sets with other features, or fewer than 4 images, or values that are not finite.
        ConfigError: fewer than 2 blocks.
    """
    if blocks < 2:
        raise ConfigError(f"blocks: at least 2 are needed, and there are {blocks}")
    (one,), (other,) = same_images(x), same_images(y)
    if one.shape[1] != other.shape[1]:
        raise DataError(
            "a gap is between features of one layer of one network, and there are"
            f" {one.shape[1]} and {other.shape[1]}"
        )
    kernel = gaussian(torch.cat([one, other]), _TAU)
    measures = {
        "means": lambda rows, columns: distance_of_means(one[rows], other[columns]),
        "mmd_linear": lambda rows, columns: mmd_linear(one[rows], other[columns]),
        "mmd_rbf": lambda rows, columns: _mmd(kernel, rows, columns + len(one)),
    }
    sizes = (len(one), len(other))
    found = {name: _jackknifed(measure, sizes, blocks) for name, measure in measures.items()}
    return found | {"frechet": Gap(_unknown(frechet(one, other)), FRECHET_REASON)}


def distance_of_means(x: torch.Tensor, y: torch.Tensor) -> float:
    """|mean x - mean y|^2 / (tr cov x + tr cov y) of [n, d] and [m, d]; NaN where nothing varies.

    Without what chance adds to the numerator: of two sets of n images of one kind, 1 / n of the ratio.
    """
    return mmd_linear(x, y) / float(_variance(x) + _variance(y)) if _varies(x, y) else float("nan")


def mmd_linear(x: torch.Tensor, y: torch.Tensor) -> float:
    """Unbiased squared MMD with the linear kernel: |mean x - mean y|^2 without what chance adds to it."""
    between = (x.mean(0) - y.mean(0)).square().sum()
    return float(between - _variance(x) / len(x) - _variance(y) / len(y))


def mmd_rbf(x: torch.Tensor, y: torch.Tensor) -> float:
    """Unbiased squared MMD with a Gaussian kernel as wide as the median distance; NaN where that is 0."""
    rows, columns = torch.arange(len(x)), torch.arange(len(y)) + len(x)
    return _mmd(gaussian(torch.cat([x, y]), _TAU), rows, columns)


def frechet(x: torch.Tensor, y: torch.Tensor) -> float:
    """|mean x - mean y|^2 + tr(A + B - 2 (A^1/2 B A^1/2)^1/2) with covariances A, B of [n, d] and [m, d].

    The last trace is the nuclear norm of the product of the centred features: no root of a matrix is taken.
    Biased upwards where images are few for the features.
    """
    a, b = (values - values.mean(0) for values in (x, y))
    cross = torch.linalg.svdvals(_triangle(a) @ _triangle(b).T).sum()
    shared = cross / ((len(x) - 1) * (len(y) - 1)) ** 0.5
    between = (x.mean(0) - y.mean(0)).square().sum()
    return float(between + _variance(x) + _variance(y) - 2 * shared)


def _triangle(values: torch.Tensor) -> torch.Tensor:
    """R [min(n, d), d] with R^T R that of values [n, d]."""
    return torch.linalg.qr(values, mode="r").R


def _varies(x: torch.Tensor, y: torch.Tensor) -> bool:
    """Whether any feature differs within a set."""
    return bool((x != x[0]).any() or (y != y[0]).any())


def _variance(values: torch.Tensor) -> torch.Tensor:
    """Trace of the covariance of [n, d]."""
    return values.var(0).sum()


def _mmd(kernel: torch.Tensor, rows: Rows, columns: Rows) -> float:
    """Unbiased squared MMD of two groups of the kernel's rows; NaN of a kernel of ones."""
    if (kernel == 1).all():
        return float("nan")
    shares = kernel.new_zeros((len(kernel), 2))
    shares[rows, 0], shares[columns, 1] = 1 / len(rows), 1 / len(columns)
    means = shares.T @ kernel @ shares
    within = _without_self(means[0, 0], len(rows)) + _without_self(means[1, 1], len(columns))
    return float(within - 2 * means[0, 1])


def _without_self(mean: torch.Tensor, count: int) -> torch.Tensor:
    """Mean over pairs of two different rows, from that over all pairs: a row's kernel with itself is 1."""
    return (count * mean - 1) / (count - 1)


def _jackknifed(measure: Callable[[Rows, Rows], float], sizes: tuple[int, int], blocks: int) -> Gap:
    """A measure of rows of both sets, with an interval from leaving out one block of each at a time."""
    value = measure(*(torch.arange(size) for size in sizes))
    if np.isnan(value):
        return Gap(_unknown(value), "constant: no two images have different features")
    if min(sizes) < 2 * blocks:
        return Gap(_unknown(value), f"no interval: needs {2 * blocks} images of each set")
    kept = zip(*(_leaving_out(size, blocks) for size in sizes), strict=True)
    without = np.array([measure(rows, columns) for rows, columns in kept])
    return Gap(jackknife_interval(value, without))


def _leaving_out(size: int, blocks: int) -> list[Rows]:
    """The rows that are left without each of so many blocks, every blocks-th row a block."""
    rows = torch.arange(size)
    return [rows[rows % blocks != block] for block in range(blocks)]


def _unknown(value: float) -> Interval:
    return Interval(np.float64(value), np.float64(np.nan), np.float64(np.nan))
