"""Exact optimal transport between clouds of images, by Euclidean distance of their features."""

import warnings
from dataclasses import dataclass

import numpy as np
import scipy

from transferlens.core.errors import NumericalError
from transferlens.core.imports import pot
from transferlens.relatedness.tasks import Sample

_ITERATIONS = 10**7  # of the network simplex; POT's own 1e5 are too few for 2,500 images
# Squared distances below this share of the squared norms lose digits in |x|^2 + |y|^2 - 2 xy.
_NEAR = 1e-4


@dataclass(frozen=True)
class Transport:
    """The optimal transport between two weighted clouds.

    Attributes:
        distance: W1, what the plan costs.
        plan: float64[first, second].
        first, second: Kantorovich potentials of the images, float64[first] and float64[second]. Their means
            under the clouds' weights add up to the distance; they are its slopes in these weights.
    """

    distance: float
    plan: np.ndarray
    first: np.ndarray
    second: np.ndarray


def distances(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Euclidean, float64[first, second], of features float64[images, features]; to nearly all digits.

    By one product of matrices; where images are close to each other, by differences.
    """
    centre = first.mean(0)
    first, second = first - centre, second - centre
    squares = np.square(first).sum(1)[:, None] + np.square(second).sum(1)
    apart = squares - 2 * (first @ second.T)
    close = (apart < _NEAR * squares).any(1)
    apart = np.sqrt(np.maximum(apart, 0))
    if close.any():
        apart[close] = scipy.spatial.distance.cdist(first[close], second)
    return apart


def transport(cost: np.ndarray, first: np.ndarray, second: np.ndarray) -> Transport:
    """The cheapest plan between weights float64[first] and float64[second], by costs float64[first, second].

    Raises:
        NumericalError: the solver did not reach the optimum.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what POT warns of, it also logs
        plan, log = pot().emd(first, second, cost, numItermax=_ITERATIONS, log=True)
    if log["warning"] is not None:
        size = f"{cost.shape[0]} and {cost.shape[1]} images"
        raise NumericalError(f"Transport between {size} is not optimal: {' '.join(log['warning'].split())}")
    return Transport(float(log["cost"]), plan, log["u"], log["v"])


def wasserstein(first: np.ndarray, second: np.ndarray) -> float:
    """W1 between two clouds of features, every image of a cloud weighing the same."""
    return transport(distances(first, second), _even(len(first)), _even(len(second))).distance


def class_distances(reference: Sample, target: Sample) -> np.ndarray:
    """W1 between the clouds of every two classes, float64[K_T, K_R]."""
    found = np.zeros((target.classes, reference.classes))
    members = [np.flatnonzero(reference.labels == label) for label in range(reference.classes)]
    for label in range(target.classes):
        apart = distances(reference.features, target.of_class(label))
        even = _even(apart.shape[1])
        found[label] = [transport(apart[of], _even(len(of)), even).distance for of in members]
    return found


def wasserstein_floor(target: Sample, rng: np.random.Generator) -> float:
    """How far two samples of the same distribution are apart: W1 between random halves of every class.

    The mean over classes by their frequency; those of one image, which has no halves, do not count (NaN if
    all). Halves are smaller than the clouds whose distance this is to be compared to, so this floor is rather
    too high.
    """
    floors = np.full(target.classes, np.nan)
    for label in range(target.classes):
        cloud = rng.permutation(target.of_class(label))
        half = len(cloud) // 2
        if half:
            floors[label] = wasserstein(cloud[:half], cloud[half:])
    known = np.isfinite(floors)
    return float(np.average(floors[known], weights=target.frequencies[known])) if known.any() else np.nan


def _even(images: int) -> np.ndarray:
    return np.full(images, 1 / images)
