"""Similarity of single filters in space: a channel's map of one image by two networks.

As in Behzadi-Khormouji et al. (2024), with their definitions mended: the rows of a map [h, w] are taken as
examples and its columns as features, for every image and channel by itself. Unrelated maps are far from 0 in
all of these (dense ReLU maps: CKA about .45, Procrustes about .7): always show the level that maps of other
images, or of other channels, have beside them.
"""

from typing import Literal, NamedTuple

import torch
from torch.nn import functional

from transferlens.core.errors import DataError

PAPER_SPAN = 255.0  # with which SSIM says .99 of unrelated maps whose values are about 1
_ROUNDING = 1e-12  # of a map's size: what is left of it below this is a rounding error
_CELLS = 1 << 23  # of maps in memory at a time, in float64

Centre = Literal["rows", "columns"]


class Spans(NamedTuple):
    """Least and largest value of each channel, float64[c], over images and networks."""

    low: torch.Tensor
    high: torch.Tensor

    def joined(self, other: "Spans") -> "Spans":
        """Over the images of both."""
        return Spans(torch.minimum(self.low, other.low), torch.maximum(self.high, other.high))

    @property
    def width(self) -> torch.Tensor:
        """float64[c]."""
        return self.high - self.low


class FilterSimilarity(NamedTuple):
    """What two networks' maps of each image and channel have in common; NaN where either map is dead.

    Attributes:
        cka, procrustes, ssim: float64[n, c].
        dead: bool[2, n, c], maps of one value in all cells, of either network.
    """

    cka: torch.Tensor
    procrustes: torch.Tensor
    ssim: torch.Tensor
    dead: torch.Tensor

    @property
    def dead_share(self) -> torch.Tensor:
        """Share of images in which each channel is dead, float64[2, c]."""
        return self.dead.double().mean(1)


def compare_maps(
    one: torch.Tensor,
    other: torch.Tensor,
    spans: Spans | None = None,
    centre: Centre = "columns",
    max_side: int | None = 56,
) -> FilterSimilarity:
    """All similarities of the maps [n, c, h, w] of two networks, channel by channel.

    Args:
        one, other: of the same images, any float type; the arithmetic is float64.
        spans: of each channel over all images that are told together; None takes these images.
        centre: what Procrustes centres (`rows` is the paper's).
        max_side: larger maps are averaged to at most so many cells a side; None leaves them.

    Raises:
        DataError: maps of different shapes, or not of four axes.
    """
    if one.ndim != 4 or one.shape != other.shape:
        raise DataError(
            "maps must be two arrays [images, channels, height, width] of one shape, and these are"
            f" {list(one.shape)} and {list(other.shape)}"
        )
    width = (spans or spans_of(one).joined(spans_of(other))).width
    one, other = (pooled(maps.double(), max_side) for maps in (one, other))
    return FilterSimilarity(
        linear_cka(one, other),
        procrustes(one, other, centre),
        ssim(one, other, width),
        torch.stack([dead(one), dead(other)]),
    )


def spans_of(maps: torch.Tensor) -> Spans:
    """Of maps [n, c, h, w] of one network."""
    values = maps.double()
    return Spans(values.amin((0, 2, 3)), values.amax((0, 2, 3)))


def pooled(maps: torch.Tensor, max_side: int | None) -> torch.Tensor:
    """Maps [n, c, h, w] of at most max_side cells a side: means of neighbouring cells."""
    sides = [side if max_side is None else min(side, max_side) for side in maps.shape[2:]]
    return maps if sides == list(maps.shape[2:]) else functional.adaptive_avg_pool2d(maps, sides)


def dead(maps: torch.Tensor) -> torch.Tensor:
    """Which maps [n, c, h, w] hold one value only, as those that are zero do: bool[n, c]."""
    return maps.amax((2, 3)) == maps.amin((2, 3))


def linear_cka(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """Linear CKA float64[n, c] of maps [n, c, h, w], both centred in rows and columns, 0 to 1.

    NaN where a map has nothing left once it is centred: it is constant, or only its rows or columns differ.
    """
    return _by_map(_cka, one, other)


def procrustes(one: torch.Tensor, other: torch.Tensor, centre: Centre = "columns") -> torch.Tensor:
    """Orthogonal Procrustes similarity float64[n, c] of maps [n, c, h, w], 0 to 1.

    Args:
        one, other: maps of the same images.
        centre: `columns` takes from each cell the mean of its column, as features are centred over examples;
            `rows` that of its row, as the paper's code.

    NaN where a map has nothing left once it is centred.
    """
    axis = {"rows": 2, "columns": 1}[centre]
    return _by_map(lambda a, b: _procrustes(a, b, axis), one, other)


def ssim(one: torch.Tensor, other: torch.Tensor, span: torch.Tensor | float) -> torch.Tensor:
    """Structural similarity float64[n, c] of maps [n, c, h, w] in one window, -1 to 1 (Wang et al. 2004).

    Args:
        one, other: maps of the same images.
        span: range of values, of each channel [c] (Spans.width) or of all (PAPER_SPAN).

    NaN where a map is dead.
    """
    x, y = one.double().flatten(2), other.double().flatten(2)
    mean_x, mean_y = x.mean(2), y.mean(2)
    var_x, var_y = x.var(2, correction=0), y.var(2, correction=0)
    covariance = ((x - mean_x[..., None]) * (y - mean_y[..., None])).mean(2)
    span = torch.as_tensor(span, dtype=x.dtype, device=x.device)
    low, contrast = (0.01 * span) ** 2, (0.03 * span) ** 2
    similar = (2 * mean_x * mean_y + low) * (2 * covariance + contrast)
    value = similar / ((mean_x**2 + mean_y**2 + low) * (var_x + var_y + contrast))
    return value.masked_fill(dead(one) | dead(other), torch.nan)


def _by_map(function, one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """A function of maps [m, h, w] and [m, h, w] applied to all images and channels, in blocks."""
    count = max(_CELLS // one[0, 0].numel(), 1)
    blocks = zip(one.flatten(0, 1).split(count), other.flatten(0, 1).split(count), strict=True)
    return torch.cat([function(a.double(), b.double()) for a, b in blocks]).unflatten(0, one.shape[:2])


def _cka(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """float64[m] of maps [m, h, w]."""
    a, b = (_unit(maps, (maps - maps.mean(1, keepdim=True)), 2) for maps in (one, other))
    cross = torch.bmm(a.mT, b).square().sum((1, 2))
    return cross / (_gram_norm(a) * _gram_norm(b))


def _gram_norm(maps: torch.Tensor) -> torch.Tensor:
    """Frobenius norms [m] of D D^T of maps D [m, h, w]."""
    return torch.linalg.matrix_norm(torch.bmm(maps, maps.mT))


def _procrustes(one: torch.Tensor, other: torch.Tensor, axis: int) -> torch.Tensor:
    """float64[m] of maps [m, h, w], centred along an axis."""
    a, b = (_unit(maps, maps, axis) for maps in (one, other))
    known = ~(a.isnan() | b.isnan()).any((1, 2))  # a singular value decomposition refuses NaN
    value = a.new_full((len(a),), torch.nan)
    value[known] = torch.linalg.svdvals(torch.bmm(a[known].mT, b[known])).sum(1)
    return value


def _unit(maps: torch.Tensor, values: torch.Tensor, axis: int) -> torch.Tensor:
    """Values [m, h, w] centred along an axis, of norm 1; NaN where only rounding is left of the maps."""
    values = values - values.mean(axis, keepdim=True)
    size = torch.linalg.matrix_norm(values)
    size = size.masked_fill(size <= _ROUNDING * torch.linalg.matrix_norm(maps), torch.nan)
    return values / size[:, None, None]
