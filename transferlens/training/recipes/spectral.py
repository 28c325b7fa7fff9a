"""Batch spectral shrinkage (Chen et al. 2019): small singular values of features are made smaller.

    loss = cross-entropy + strength * (sum of the squares of the k smallest singular values of F)

F [N, D] are a batch's features. The gradient of such a square is 2 s u v^T, of its singular vectors u and v:
no differences of singular values stand in a denominator, and it is finite where some are equal. The penalty
is of a batch as a whole: its size goes with the batch's.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import nn

from transferlens.models.network import Network
from transferlens.training.recipes.base import Phase, Recipe
from transferlens.training.recipes.settings.spectral import BssSettings


class Bss(Recipe):
    """Fine-tuning with the penalty on the features before the head."""

    settings: BssSettings
    watched = ("backbone",)

    @classmethod
    def refuses(cls, settings: BssSettings, network: Network) -> str:
        """A network with fewer features than singular values are asked for."""
        features = network.head.in_features
        if settings.values <= features:
            return ""
        return f"values is {settings.values}, and it has {features} features"

    def phases(self) -> Iterator[Phase]:
        """One phase, in whole batches."""
        self.mode()
        yield self.whole_phase(divisible=False)

    def loss(
        self,
        logits: torch.Tensor,
        features: Mapping[str, torch.Tensor],
        labels: torch.Tensor,
        parameters: Mapping[str, nn.Parameter],
    ) -> torch.Tensor:
        """The cross-entropy and the penalty on the batch's features."""
        penalty = smallest_energy(features["backbone"].float(), self.settings.values)
        return super().loss(logits, features, labels, parameters) + self.settings.strength * penalty


def smallest_energy(features: torch.Tensor, values: int) -> torch.Tensor:
    """Sum of the squares of the smallest singular values of [N, D]; not a number if one of them is none."""
    try:
        return torch.linalg.svdvals(features)[-values:].square().sum()
    except torch.linalg.LinAlgError:  # of features that are not finite: the loop names step and batch
        return features.sum() * torch.nan
