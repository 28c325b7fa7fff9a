"""Gaussian mixtures of full covariance by expectation and maximisation, in two products of matrices a step.

The log density of a Gaussian is linear in the products x_i x_j, in x and in 1: that of all images in all
components is one product of matrices, and so are all weighted second moments. The start (k-means), what is
added to variances (1e-6) and the end (the mean log likelihood gains less than 1e-3, or 100 steps) are those
of scikit-learn's GaussianMixture, which takes each component on its own.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

_ROWS = 256  # of images at a time
_ADDED = 1e-6
_GAIN = 1e-3
_STEPS = 100


@dataclass(frozen=True)
class Fitted:
    """A fitted mixture.

    Attributes:
        memberships: float64[images, components], posterior probabilities.
        steps: that it took.
    """

    memberships: np.ndarray
    steps: int


def fit(features: np.ndarray, components: int, seed: int) -> Fitted:
    """The mixture of features float64[images, axes] that k-means with a seed leads to."""
    axes = features.shape[1]
    members = np.eye(components)[_clusters(features, components, seed)]
    density = _density(sum(members[rows].T @ terms for rows, terms in _terms(features)), axes)
    gained, before, steps = np.inf, -np.inf, 0
    while gained >= _GAIN and steps < _STEPS:
        likelihood, moments = _step(features, density)
        gained, before, steps = abs(likelihood - before), likelihood, steps + 1
        density = _density(moments, axes)
    members = [_members(terms @ density)[0] for _, terms in _terms(features)]
    return Fitted(np.concatenate(members), steps)


def _clusters(features: np.ndarray, components: int, seed: int) -> np.ndarray:
    from sklearn.cluster import KMeans  # takes long to load

    return KMeans(components, n_init=1, random_state=seed).fit(features).labels_


def _step(features: np.ndarray, density: np.ndarray) -> tuple[float, np.ndarray]:
    """(mean log likelihood, moments float64[components, terms] weighted by posterior probabilities)."""
    total, moments = 0.0, np.zeros(density.T.shape)
    for _, terms in _terms(features):
        members, likelihoods = _members(terms @ density)
        moments += members.T @ terms
        total += likelihoods.sum()
    return total / len(features), moments


def _members(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(posterior probabilities float64[rows, components], log likelihoods float64[rows]); overwrites `logs`.

    Args:
        logs: float64[rows, components], weighted log densities.
    """
    most = logs.max(1, keepdims=True)
    members = np.exp(np.subtract(logs, most, out=logs), out=logs)
    sums = members.sum(1, keepdims=True)
    members /= sums
    return members, (most + np.log(sums))[:, 0]


def _terms(features: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
    """(rows, their products of two features, features, and 1: float64[rows, terms]), some rows at a time."""
    first, second = np.triu_indices(features.shape[1])
    for start in range(0, len(features), _ROWS):
        x = features[start : start + _ROWS]
        yield slice(start, start + _ROWS), np.hstack([x[:, first] * x[:, second], x, np.ones((len(x), 1))])


def _density(moments: np.ndarray, axes: int) -> np.ndarray:
    """What each term adds to each component's weighted log density, float64[terms, components].

    Args:
        moments: float64[components, terms].
    """
    upper = np.triu_indices(axes)
    counts = moments[:, -1] + 10 * np.finfo(float).eps
    products, means = np.split(moments[:, :-1] / counts[:, None], [len(upper[0])], axis=1)
    covariances = np.empty((len(counts), axes, axes))
    covariances[:, *upper] = covariances[:, *upper[::-1]] = products
    covariances -= means[:, :, None] * means[:, None, :]
    covariances[:, *np.diag_indices(axes)] += _ADDED
    precisions = np.linalg.inv(covariances)
    linear = np.einsum("kij,kj->ki", precisions, means)
    constant = np.log(counts / counts.sum()) - 0.5 * (means * linear).sum(1)
    constant -= 0.5 * (np.linalg.slogdet(covariances)[1] + axes * np.log(2 * np.pi))
    quadratic = np.where(upper[0] == upper[1], -0.5, -1.0) * precisions[:, *upper]
    return np.hstack([quadratic, linear, constant[:, None]]).T
