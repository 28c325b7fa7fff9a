"""Canonical correlations of two sets of features of the same images.

They are blind to any invertible linear map, so that with few images for the features everything looks alike:
fewer than 5 images for a dimension say nothing (Metric.needs_images).
Sources: CCA, Hotelling 1936; R2, Kornblith et al. 2019; SVCCA, Raghu et al. 2017; PWCCA, Morcos et al. 2018.
"""

from typing import NamedTuple

import torch

from transferlens.dynamics.similarity.axes import Rows, Thin, centred, thin

KEPT_VARIANCE = 0.99  # by the components that SVCCA keeps


class Weighed(NamedTuple):
    """A span and what each feature has of each of its axes.

    Attributes:
        span: float64[n, r], orthonormal columns.
        loadings: float64[r, d], images^T features.
    """

    span: Rows
    loadings: torch.Tensor

    @property
    def dimensions(self) -> int:
        """r."""
        return self.span.dimensions

    def permuted(self, order: torch.Tensor) -> "Weighed":
        """Of the images in another order int64[n]; the loadings stay."""
        return Weighed(self.span.permuted(order), self.loadings)


def span(features: torch.Tensor) -> Rows:
    """An orthonormal basis [n, r] of the centred features [n, d], up to their rank."""
    return Rows(thin(centred(features)).images)


def leading_span(features: torch.Tensor) -> Rows:
    """That of the fewest principal components of features [n, d] with 99 % of variance, not of its root."""
    return Rows(leading(thin(centred(features))).images)


def leading(parts: Thin) -> Thin:
    """The first components, as many as KEPT_VARIANCE takes."""
    share = parts.values.square().cumsum(0) / parts.values.square().sum()
    count = int((share < KEPT_VARIANCE).sum()) + 1
    return Thin(parts.images[:, :count], parts.values[:count])


def weighed(features: torch.Tensor) -> Weighed:
    """Of the centred features [n, d]."""
    values = centred(features)
    images = thin(values).images
    return Weighed(Rows(images), images.T @ values)


def correlations(one: Rows, other: Rows) -> torch.Tensor:
    """Canonical correlations float64[min(r, r')], falling, 0 to 1."""
    return torch.linalg.svdvals(one.values.T @ other.values).clamp(0, 1)


def mean_correlation(one: Rows, other: Rows) -> float:
    """Mean canonical correlation, 0 to 1."""
    return float(correlations(one, other).mean())


def mean_squared_correlation(one: Rows, other: Rows) -> float:
    """R2 CCA: mean squared canonical correlation, 0 to 1."""
    return float(correlations(one, other).square().mean())


def projection_weighted(one: Weighed, other: Weighed) -> float:
    """PWCCA: canonical correlations weighted by how much of the features of `one` each accounts for, 0 to 1.

    The canonical variates h of `one` are orthonormal over the images; the weight of one is the sum over its
    features of |<h, feature>|. So it is not symmetric, and not blind to rotations of `one`: give the network
    before fine-tuning first.
    """
    turn, found, _ = torch.linalg.svd(one.span.values.T @ other.span.values, full_matrices=False)
    weights = (turn.T @ one.loadings).abs().sum(1)
    return float((weights * found.clamp(0, 1)).sum() / weights.sum())
