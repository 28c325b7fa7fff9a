"""Everything that the bound and its intervals are made of, image by image, on the test images."""

from dataclasses import dataclass

import numpy as np

from transferlens.relatedness.heads import Head
from transferlens.relatedness.tasks import Sample
from transferlens.relatedness.transforms import Transform, mixed_losses
from transferlens.relatedness.transport import distances, transport


@dataclass(frozen=True)
class Evaluation:
    """A transform seen on test images; n_R of the reference and n_T of the target.

    Attributes:
        reference, target: the images.
        transform: of the reference.
        weights: float64[K_T, n_R], how much each reference image counts in each target class; rows sum to 1.
        reference_losses: float64[n_R], of the reference head on the images' own classes.
        mixed_losses: float64[n_R, K_T], of the transformed head on the transformed images, by target class.
        returned_loss: the same, mean over all, but through the feature map and back.
        transformed_losses, probe_losses: float64[n_T, K_T], of the transformed and of the target's own head.
        lipschitz: of the transformed head.
        distances: float64[K_T], W1 of each target class.
        reference_potentials: float64[K_T, n_R], of each target class's transport.
        target_potentials: float64[n_T].
    """

    reference: Sample
    target: Sample
    transform: Transform
    weights: np.ndarray
    reference_losses: np.ndarray
    mixed_losses: np.ndarray
    returned_loss: float
    transformed_losses: np.ndarray
    probe_losses: np.ndarray
    lipschitz: float
    distances: np.ndarray
    reference_potentials: np.ndarray
    target_potentials: np.ndarray

    @property
    def class_reference_losses(self) -> np.ndarray:
        """Loss of the transformed reference, given each target class, float64[K_T]."""
        return (self.weights * self.mixed_losses.T).sum(1)

    def class_losses(self, losses: np.ndarray) -> np.ndarray:
        """Means of losses float64[n_T, K_T] of the target over each class, of that class, float64[K_T]."""
        return self.target.class_means(self.own(losses))

    def own(self, losses: np.ndarray) -> np.ndarray:
        """The loss of each target image on its own class, float64[n_T], of losses float64[n_T, K_T]."""
        return losses[np.arange(len(losses)), self.target.labels]

    def correct(self, losses: np.ndarray) -> np.ndarray:
        """Whether the likeliest class is an image's own, float64[n_T]."""
        return (losses.argmin(1) == self.target.labels).astype(np.float64)


def evaluate(
    reference: Sample, target: Sample, transform: Transform, reference_head: Head, target_head: Head
) -> Evaluation:
    """Apply a transform to test images of the reference and hold them against those of the target."""
    head, moved = transform.head(reference_head), transform.moved(reference.features)
    weights = transform.class_weights(reference.labels)
    found, of_reference, of_target = _transports(moved, weights, target)
    returned = (weights * head.losses(moved).T).sum(1)
    return Evaluation(
        reference=reference,
        target=target,
        transform=transform,
        weights=weights,
        reference_losses=reference_head.losses(reference),
        mixed_losses=mixed_losses(reference_head.log_probabilities(reference.features), transform.label_map),
        returned_loss=float(transform.target_prior @ returned),
        transformed_losses=head.losses(target.features),
        probe_losses=-target_head.log_probabilities(target.features),
        lipschitz=head.lipschitz,
        distances=found,
        reference_potentials=of_reference,
        target_potentials=of_target,
    )


def _transports(moved: np.ndarray, weights: np.ndarray, target: Sample) -> tuple[np.ndarray, ...]:
    """Of each target class: distances float64[K_T] and potentials float64[K_T, n_R] and float64[n_T]."""
    found, of_reference = np.zeros(len(weights)), np.zeros(weights.shape)
    of_target = np.zeros(len(target.labels))
    for label in range(target.classes):
        members, used = target.labels == label, weights[label] > 0
        cost = distances(moved[used], target.features[members])
        solved = transport(cost, weights[label, used], np.full(members.sum(), 1 / members.sum()))
        found[label] = solved.distance
        of_reference[label, used] = solved.first
        of_target[members] = solved.second
    return found, of_reference, of_target
