"""A bound on the loss that a target task has by a head of a reference task, and what it is made of."""

from dataclasses import dataclass

import numpy as np

from transferlens.core.statistics import Interval
from transferlens.relatedness.heads import Head
from transferlens.relatedness.tasks import Task


@dataclass(frozen=True)
class Options:
    """How a reference is turned into something like the target.

    Attributes:
        transform: "FixedAll" (nothing is learned), "LearnedA" (the feature map), "LearnedAll" (labels and prior too).
        feature_map: "identity", "orthogonal" or "affine".
        label_start: "random", "hungarian" or "uniform".
        steps: of learning.
        batch: images of either task in a step.
    """

    transform: str
    feature_map: str
    label_start: str
    steps: int
    batch: int


@dataclass(frozen=True)
class Heads:
    """Heads of one encoder on both tasks, shared by all transforms.

    Attributes:
        reference, target: each held to `tau`.
        tau: the Lipschitz constant they were held to; None where it was only measured.
    """

    reference: Head
    target: Head
    tau: float | None


@dataclass(frozen=True)
class Stage:
    """One proved inequality `left <= right` (both sides on the test images).

    `slack` is right - left.
    """

    name: str
    left: float
    right: float

    @property
    def slack(self) -> float:
        return self.right - self.left


@dataclass(frozen=True)
class Relation:
    """The bound and all that stands beside it. Every number is of the test images.

    Attributes:
        reference_loss: of the reference head, classes weighted by `prior`.
        label_mismatch: conditional entropy H(Y_R''|Y_R').
        wasserstein: distance of the transformed reference and the target, mean over target classes.
        lipschitz: of the transformed head (tau''').
        prior_gap: what the classes' frequencies still differ by, as a loss.
        bound: reference_loss + label_mismatch + lipschitz * wasserstein + prior_gap.
        bound_tight: transformed reference's loss + lipschitz * wasserstein.
        transformed_loss, transformed_accuracy: of the transformed head on the target; what the bound bounds.
        probe_loss, probe_accuracy: of the target's own head.
        log_classes: loss of guessing, log K_T.
        label_map: float64[K_T, K_R], columns sum to 1.
        prior: float64[K_R], of the reference classes after the transform.
        feature_map: (A float64[d, d], b float64[d]).
        class_wasserstein, class_reference_loss, class_transformed_loss, class_probe_loss, class_prior,
            class_bound: float64[K_T] each; class_reference_loss is the transformed reference's loss given the class,
            class_bound = class_reference_loss + lipschitz * class_wasserstein.
        trace: objective at each step of learning, by part: name -> float64[steps].
        stages: the proved inequalities.
        warnings: assumptions that do not hold, a sentence each.
    """

    reference_loss: float
    label_mismatch: float
    wasserstein: float
    lipschitz: float
    prior_gap: float
    bound: float
    bound_tight: float
    transformed_loss: float
    transformed_accuracy: float
    probe_loss: float
    probe_accuracy: float
    log_classes: float
    label_map: np.ndarray
    prior: np.ndarray
    feature_map: tuple[np.ndarray, np.ndarray]
    class_wasserstein: np.ndarray
    class_reference_loss: np.ndarray
    class_transformed_loss: np.ndarray
    class_probe_loss: np.ndarray
    class_prior: np.ndarray
    class_bound: np.ndarray
    trace: dict[str, np.ndarray]
    stages: tuple[Stage, ...]
    warnings: tuple[str, ...]


def fit_heads(reference: Task, target: Task, tau: float | None) -> Heads:
    """Both heads, each fitted on its task's training images."""
    raise NotImplementedError


def relate(reference: Task, target: Task, heads: Heads, options: Options, seed: int) -> Relation:
    """Transform the reference towards the target, and bound the target's loss."""
    raise NotImplementedError


def images_bootstrap(
    reference: Task, target: Task, heads: Heads, relation: Relation, replicates: int, rng: np.random.Generator
) -> dict[str, Interval]:
    """Intervals of the terms of a relation over other test images, classes kept: by name of the attribute."""
    raise NotImplementedError
