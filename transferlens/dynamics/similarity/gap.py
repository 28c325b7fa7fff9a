"""How far apart the features of two different sets of images are: the domain gap of a layer.

CKA and its like need the same images in their rows; these do not. Given a number for each layer and step,
they say whether fine-tuning brings two domains together.
Sources: MMD, Gretton et al. 2012, A kernel two-sample test; Frechet distance, Dowson & Landau 1982.
"""

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

Shares = torch.Tensor  # float64[r, n], what each image of a set counts in each of r measures of it


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
    enough = min(len(one), len(other)) >= 2 * blocks
    shares = [_shares(len(values), blocks if enough else 0) for values in (one, other)]
    linear, spread = _linear(one, other, *shares)
    measures = {
        "means": _over(linear, spread),
        "mmd_linear": linear,
        "mmd_rbf": _rbf(one, other, *shares),
    }
    found = {name: _jackknifed(values.numpy(), blocks) for name, values in measures.items()}
    return found | {"frechet": Gap(_unknown(frechet(one, other)), FRECHET_REASON)}


def distance_of_means(x: torch.Tensor, y: torch.Tensor) -> float:
    """|mean x - mean y|^2 / (tr cov x + tr cov y) of [n, d] and [m, d]; NaN where nothing varies.

    Without what chance adds to the numerator: of two sets of n images of one kind, 1 / n of the ratio.
    """
    return float(_over(*_linear(x, y, _shares(len(x)), _shares(len(y)))))


def mmd_linear(x: torch.Tensor, y: torch.Tensor) -> float:
    """Unbiased squared MMD with the linear kernel: |mean x - mean y|^2 without what chance adds to it."""
    return float(_linear(x, y, _shares(len(x)), _shares(len(y)))[0])


def mmd_rbf(x: torch.Tensor, y: torch.Tensor) -> float:
    """Unbiased squared MMD with a Gaussian kernel as wide as the median distance; NaN where that is 0."""
    return float(_rbf(x, y, _shares(len(x)), _shares(len(y))))


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


def _variance(values: torch.Tensor) -> torch.Tensor:
    """Trace of the covariance of [n, d]."""
    return values.var(0).sum()


def _shares(size: int, blocks: int = 0) -> Shares:
    """Of all images alike; and, for each block of every blocks-th, of all but these."""
    rows = torch.arange(size)
    kept = [torch.ones(size, dtype=torch.bool), *(rows % blocks != block for block in range(blocks))]
    kept = torch.stack(kept).double()
    return kept / kept.sum(1, keepdim=True)


def _counts(shares: Shares) -> torch.Tensor:
    """How many images have a share, float64[r]."""
    return (shares > 0).sum(1).double()


def _linear(
    x: torch.Tensor, y: torch.Tensor, of_x: Shares, of_y: Shares
) -> tuple[torch.Tensor, torch.Tensor]:
    """Squared linear MMDs of features [n, d] and [m, d], and the sums of both total variances, float64[r]."""
    (mean_x, variance_x), (mean_y, variance_y) = _moments(x, of_x), _moments(y, of_y)
    chance = variance_x / _counts(of_x) + variance_y / _counts(of_y)
    return (mean_x - mean_y).square().sum(1) - chance, variance_x + variance_y


def _moments(values: torch.Tensor, shares: Shares) -> tuple[torch.Tensor, torch.Tensor]:
    """Means [r, d] and total variances [r] of features [n, d]; these exactly 0 where all are the same."""
    away = values - values[0]
    means, count = shares @ away, _counts(shares)
    within = shares @ away.square().sum(1) - means.square().sum(1)
    return values[0] + means, within * count / (count - 1)


def _over(linear: torch.Tensor, spread: torch.Tensor) -> torch.Tensor:
    """NaN where nothing varies."""
    return torch.where(spread > 0, linear / spread, torch.nan)


def _rbf(x: torch.Tensor, y: torch.Tensor, of_x: Shares, of_y: Shares) -> torch.Tensor:
    """Squared Gaussian MMDs float64[r] of features [n, d] and [m, d]; NaN of a kernel of ones."""
    kernel, n = gaussian(torch.cat([x, y]), _TAU), len(x)
    if (kernel == 1).all():
        return of_x.new_full((len(of_x),), torch.nan)
    within = _within(kernel[:n, :n], of_x) + _within(kernel[n:, n:], of_y)
    return within - 2 * ((of_x @ kernel[:n, n:]) * of_y).sum(1)


def _within(kernel: torch.Tensor, shares: Shares) -> torch.Tensor:
    """Means over pairs of two different images float64[r]; an image's kernel with itself is 1."""
    mean, count = ((shares @ kernel) * shares).sum(1), _counts(shares)
    return (count * mean - 1) / (count - 1)


def _jackknifed(values: np.ndarray, blocks: int) -> Gap:
    """A measure of all images, with an interval from those without each block, if there are: float64[r]."""
    value, *without = values
    if np.isnan(value):
        return Gap(_unknown(value), "constant: no two images have different features")
    if not without:
        return Gap(_unknown(value), f"no interval: needs {2 * blocks} images of each set")
    return Gap(jackknife_interval(value, np.array(without)))


def _unknown(value: float) -> Interval:
    return Interval(np.float64(value), np.float64(np.nan), np.float64(np.nan))
