"""The published algorithm (Mehra et al., NeurIPS 2024), as it was: for comparison, not for guarantees."""

from dataclasses import dataclass

from transferlens.relatedness.tasks import Task


@dataclass(frozen=True)
class Recipe:
    """Constants of the published algorithm."""

    steps: int
    batch: int
    tau: float


@dataclass(frozen=True)
class Columns:
    """The published final line, in its order."""

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


def published(reference: Task, target: Task, transform: str, recipe: Recipe, seed: int) -> Columns:
    """The published line of one reference and target; `transform` as of `bound.Options`."""
    raise NotImplementedError
