"""The final line of the published programs, column by column, as they define it: for comparison with `bound`.

It is no bound. The distance takes the likeliest label where the label mismatch takes all of them, and weighs
classes evenly; the inverse of the feature map is a learned stand-in; and the Lipschitz constant is the
largest gradient met on a sample, without the feature map (and, at small scale, of two losses at once).
"""

from dataclasses import dataclass

import numpy as np

from transferlens.relatedness.heads import Head
from transferlens.relatedness.label_maps import entropy
from transferlens.relatedness.tasks import Sample
from transferlens.relatedness.transport import wasserstein

# Keras keeps probabilities this far from 0 and 1 in its cross-entropy.
_CLIP = 1e-7
# The published distance of a class that only one side has.
_ABSENT = 1e10


@dataclass(frozen=True)
class Maps:
    """A published transform.

    Attributes:
        matrix, shift: A float64[d, d] and b float64[d]; features z become A z + b.
        inverse: float64[d, d], learned beside A.
        label_map: B float64[classes, classes], columns sum to 1.
        prior: D float64[classes].
    """

    matrix: np.ndarray
    shift: np.ndarray
    inverse: np.ndarray
    label_map: np.ndarray
    prior: np.ndarray

    def back(self, features: np.ndarray) -> np.ndarray:
        """Features as the reference's head would see them."""
        return (features - self.shift) @ self.inverse.T


@dataclass(frozen=True)
class Columns:
    """The published final line, in its order.

    Attributes:
        target_accuracy: per cent, of the transformed head on the target's test images.
        target_loss: cross-entropy of the same.
        reference_accuracy: per cent, of the transformed head on the transformed reference.
        reference_soft_loss: cross-entropy of the same with soft labels.
        weighted_reference_loss: of the reference's head, classes weighted by D / P_R.
        wasserstein: mean over classes.
        label_mismatch: H(Y_R''|Y_R').
        reference_and_label: weighted_reference_loss + label_mismatch.
        bound: reference_and_label + tau * wasserstein.
        bound_middle: reference_soft_loss + tau * wasserstein.
        tau: measured.
    """

    target_accuracy: float
    target_loss: float
    reference_accuracy: float
    reference_soft_loss: float
    weighted_reference_loss: float
    wasserstein: float
    label_mismatch: float
    reference_and_label: float
    bound: float
    bound_middle: float
    tau: float


def columns(
    reference: Sample, target: Sample, head: Head, maps: Maps, prior: np.ndarray, tau: float
) -> Columns:
    """The line of these test images.

    Args:
        prior: P_R float64[classes], as the program takes it.
        tau: measured by `small_tau` or `large_tau`.
    """
    on_target = _probabilities(head, maps, target.features)
    on_reference = _probabilities(head, maps, reference.features @ maps.matrix.T + maps.shift)
    soft = maps.label_map.T[reference.labels]
    soft_loss = float(-(soft * np.log(on_reference)).sum(1).mean())
    weights = (maps.prior / prior)[reference.labels]
    loss = float((weights * -np.log(_clipped(head, reference))).mean())
    distance = class_averaged_distance(reference, target, maps)
    mismatch = entropy(maps.label_map, maps.prior)
    return Columns(
        target_accuracy=100 * float((on_target.argmax(1) == target.labels).mean()),
        target_loss=float(-np.log(on_target[np.arange(len(target.labels)), target.labels]).mean()),
        reference_accuracy=100 * float((on_reference.argmax(1) == soft.argmax(1)).mean()),
        reference_soft_loss=soft_loss,
        weighted_reference_loss=loss,
        wasserstein=distance,
        label_mismatch=mismatch,
        reference_and_label=loss + mismatch,
        bound=loss + mismatch + tau * distance,
        bound_middle=soft_loss + tau * distance,
        tau=tau,
    )


def class_averaged_distance(reference: Sample, target: Sample, maps: Maps) -> float:
    """W1 of each class, by each reference image's likeliest label, averaged evenly."""
    moved = reference.features @ maps.matrix.T + maps.shift
    labels = maps.label_map.argmax(0)[reference.labels]
    found = [
        wasserstein(moved[labels == label], target.of_class(label)) if (labels == label).any() else _ABSENT
        for label in range(target.classes)
    ]
    return float(np.mean(found))


def small_tau(target: Sample, head: Head, maps: Maps, rng: np.random.Generator) -> float:
    """The largest gradient of the reference head's losses on an image's own label and a random one, together.

    As published, labels of the target count as if they were labels of the reference.
    """
    p = np.exp(head.log_probabilities(maps.back(target.features)))
    classes = np.eye(p.shape[1])
    drawn = rng.integers(0, len(classes), len(p))
    rest = 2 * p - classes[target.labels] - classes[drawn]
    return float(np.linalg.norm(rest @ head.weight, axis=1).max())


def large_tau(reference: Sample, target: Sample, head: Head, maps: Maps, rng: np.random.Generator) -> float:
    """The largest gradient, at the features mapped back, of -log (B p)_y.

    Over the reference and the target with random labels y, and the target with its own.
    """
    moved = reference.features @ maps.matrix.T + maps.shift
    drawn = (rng.integers(0, target.classes, len(of.labels)) for of in (reference, target))
    points = zip((moved, target.features, target.features), (*drawn, target.labels), strict=True)
    return max(_largest_gradient(features, labels, head, maps) for features, labels in points)


def _largest_gradient(features: np.ndarray, labels: np.ndarray, head: Head, maps: Maps) -> float:
    p = np.exp(head.log_probabilities(maps.back(features)))
    q = maps.label_map[labels] * p
    q /= q.sum(1, keepdims=True)
    return float(np.linalg.norm((p - q) @ head.weight, axis=1).max())


def _probabilities(head: Head, maps: Maps, features: np.ndarray) -> np.ndarray:
    p = np.exp(head.log_probabilities(maps.back(features))) @ maps.label_map.T
    return np.clip(p, _CLIP, 1 - _CLIP)


def _clipped(head: Head, sample: Sample) -> np.ndarray:
    return np.clip(np.exp(-head.losses(sample)), _CLIP, 1 - _CLIP)
