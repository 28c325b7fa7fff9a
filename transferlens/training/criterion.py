"""The cross-entropy that training settings describe."""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from transferlens.core.settings import TrainingSettings


@dataclass(frozen=True)
class Criterion:
    """Mean cross-entropy of a batch.

    Attributes:
        smoothing: share of the target probability spread over all classes.
        weights: float32[classes], weight of an image by its label; None for images that weigh alike.
    """

    smoothing: float
    weights: torch.Tensor | None

    @classmethod
    def of(cls, training: TrainingSettings, labels: torch.Tensor, positions: np.ndarray) -> "Criterion":
        """That of a training on the images at `positions` of int64[images] labels."""
        if not training.class_weighted:
            return cls(training.label_smoothing, None)
        seen = labels[torch.from_numpy(positions).to(labels.device)]
        return cls(training.label_smoothing, class_weights(seen))

    def __call__(self, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Of logits [N, C] and labels [N]."""
        losses = functional.cross_entropy(logits, labels, label_smoothing=self.smoothing, reduction="none")
        if self.weights is None:
            return losses.mean()
        return (self.weights[labels] * losses).sum() / self.weights[labels].sum()

    def mass(self, labels: torch.Tensor) -> torch.Tensor | int:
        """What the images of labels [N] weigh together in the mean."""
        return len(labels) if self.weights is None else self.weights[labels].sum()


def class_weights(labels: torch.Tensor) -> torch.Tensor:
    """The weight of an image by its label, float32[largest label + 1]: every class weighs alike, mean 1."""
    counts = torch.bincount(labels)
    return len(labels) / ((counts > 0).sum() * counts.clamp(min=1))
