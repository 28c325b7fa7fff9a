"""Similarity by who the k nearest images are, by cosine, not centred.

Definitions: ReSi (Klabunde et al. 2025). An image of zeros only has a direction of its own: cosine 0 to all
others, 1 to its like. Values depend on the number of images: compare only those of the same images.
"""

from typing import NamedTuple

import numpy as np
import scipy  # its statistics load at their first use
import torch

from transferlens.dynamics.similarity.axes import Undefined
from transferlens.scores import knn

NEIGHBOURS = 10
_ROUNDING = 1e-14  # of directions of length 1
_CELLS = 1 << 22  # distances in memory at a time


class Near(NamedTuple):
    """Images and who is near them.

    Attributes:
        directions: float64[n, d + 1], of length 1.
        rows: int64[n, k], the k nearest other images, the nearest first; equally near ones in no order.
    """

    directions: torch.Tensor
    rows: torch.Tensor

    @property
    def dimensions(self) -> int:
        """Features of an image."""
        return self.directions.shape[1] - 1

    def permuted(self, order: torch.Tensor) -> "Near":
        """Of the images in another order int64[n]."""
        return Near(self.directions[order], order.argsort()[self.rows[order]])


class Common(NamedTuple):
    """What the k nearest on both sides have in common.

    Attributes:
        same: bool[n, k, k], whether the i-th nearest of one is the j-th nearest of the other.
        count: float64[n], how many are common.
    """

    same: torch.Tensor
    count: torch.Tensor


def near(features: torch.Tensor, k: int = NEIGHBOURS) -> Near:
    """The k nearest other images of features [n, d].

    Raises:
        Undefined: k images or fewer, or all equally near, as those of a constant layer.
    """
    if len(features) <= k:
        raise Undefined(f"{k} neighbours need more than {k} images")
    units = _directions(features)
    if (units - units[0]).abs().max() < _ROUNDING:
        raise Undefined("constant: all images have features of one direction")
    found = knn.neighbours(units.numpy(), k, "euclidean").rows
    return Near(units, torch.as_tensor(found))


def _directions(features: torch.Tensor) -> torch.Tensor:
    """Rows of length 1 [n, d + 1]; the last column is the direction of those that are zero."""
    lengths = features.norm(dim=1, keepdim=True)
    zero = lengths == 0
    return torch.cat([features / lengths.masked_fill(zero, 1), zero.to(features.dtype)], 1)


def common(one: Near, other: Near) -> Common:
    """Compare all ranks with all."""
    same = one.rows[:, :, None] == other.rows[:, None, :]
    return Common(same, same.sum((1, 2), dtype=torch.float64))


def jaccard(one: Near, other: Near) -> float:
    """Mean over images of the common neighbours over all neighbours, 0 to 1."""
    return float(_jaccards(common(one, other).count, one.rows.shape[1]).mean())


def _jaccards(count, k: int):
    return count / (2 * k - count)


def jaccard_chance(n: int, k: int = NEIGHBOURS) -> float:
    """Expected Jaccard similarity of unrelated features of n images: exact, over draws of neighbours.

    Two unrelated sets of k of the n - 1 others have a hypergeometric number in common.
    """
    count = np.arange(k + 1)
    return float(scipy.stats.hypergeom(n - 1, k, k).pmf(count) @ _jaccards(count, k))


def rank_similarity(one: Near, other: Near) -> float:
    """Mean over images of how much the ranks of common neighbours agree, early ones counting more, 0 to 1.

    A common neighbour of ranks r and r' (from 1) counts 2 / ((1 + |r - r'|)(r + r')), relative to the first
    ones all agreeing; 0 where none is common.
    """
    return float(_rank_agreements(common(one, other)).mean())


def rank_jaccard(one: Near, other: Near) -> float:
    """Mean over images of the product of Jaccard and rank similarity, 0 to 1."""
    shared = common(one, other)
    return float((_jaccards(shared.count, one.rows.shape[1]) * _rank_agreements(shared)).mean())


def _rank_agreements(shared: Common) -> torch.Tensor:
    """float64[n]."""
    k = shared.same.shape[1]
    rank = torch.arange(1, k + 1, dtype=torch.float64)
    weights = 2 / ((1 + (rank[:, None] - rank).abs()) * (rank[:, None] + rank))
    reached = (shared.same * weights).sum((1, 2))
    possible = torch.cat([rank.new_ones(1), (1 / rank).cumsum(0)])  # of no common one: 1, so that 0 / 1 is 0
    return reached / possible[shared.count.long()]


def second_order_cosine(one: Near, other: Near) -> float:
    """Mean over images of the cosine of their cosine distances to the neighbours of either side, 0 to 1.

    An image that all these lie on (on one side) has no such direction and is skipped.
    """
    block = max(_CELLS // len(one.rows), 1)
    starts = range(0, len(one.rows), block)
    cosines = torch.cat([_second_order(one, other, slice(start, start + block)) for start in starts])
    return float(cosines.nanmean())


def _second_order(one: Near, other: Near, block: slice) -> torch.Tensor:
    """Cosines float64[rows of the block]; NaN where one side has no direction."""
    mine, theirs = one.rows[block], other.rows[block]
    repeated = (theirs[:, :, None] == mine[:, None, :]).any(2)
    columns = torch.cat([mine, theirs], 1)
    once = torch.cat([torch.ones_like(repeated), ~repeated], 1)
    a, b = (_distances(side, block).gather(1, columns) * once for side in (one, other))
    return (a * b).sum(1) / (a.norm(dim=1) * b.norm(dim=1))


def _distances(side: Near, block: slice) -> torch.Tensor:
    """Cosine distances [rows of the block, n]; 0 where rounding alone is left."""
    distances = 1 - side.directions[block] @ side.directions.T
    return distances.masked_fill(distances < _ROUNDING, 0)
