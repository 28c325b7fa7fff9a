"""Recipes whose loss is the cross-entropy and a penalty beside it."""

from collections.abc import Mapping

import torch
from torch import nn

from transferlens.training.recipes.base import Recipe


class Penalised(Recipe):
    """Plain fine-tuning with a penalty."""

    def loss(
        self,
        logits: torch.Tensor,
        features: Mapping[str, torch.Tensor],
        labels: torch.Tensor,
        parameters: Mapping[str, nn.Parameter],
    ) -> torch.Tensor:
        """The cross-entropy and the penalty."""
        return super().loss(logits, features, labels, parameters) + self.penalty(features, labels)

    def penalty(self, features: Mapping[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """What is added to the loss, by its strength.

        Args:
            features: outputs of the watched layers for the batch, by name.
            labels: int64[N], of the batch.
        """
        raise NotImplementedError
