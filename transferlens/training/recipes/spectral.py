"""Batch spectral shrinkage (Chen et al. 2019): small singular values of features are made smaller.

    loss = cross-entropy + strength * (sum of the squares of the k smallest singular values of F)

F [N, D] are a batch's features. The gradient of such a square is 2 s u v^T, of its singular vectors u and v:
no differences of singular values stand in a denominator, and it is finite where some are equal. The penalty
is of a batch as a whole: its size goes with the batch's.
"""

from collections.abc import Iterator, Mapping

import torch

from transferlens.models.network import Network
from transferlens.training.recipes.base import Phase
from transferlens.training.recipes.penalised import Penalised
from transferlens.training.recipes.settings.spectral import BssSettings


class Bss(Penalised):
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

    def penalty(self, features: Mapping[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """Of the batch's features."""
        return self.settings.strength * smallest_energy(features["backbone"].float(), self.settings.values)


def smallest_energy(features: torch.Tensor, values: int) -> torch.Tensor:
    """Sum of the squares of the smallest singular values of [N, D]; not a number if one of them is none."""
    try:
        return torch.linalg.svdvals(features)[-values:].square().sum()
    except torch.linalg.LinAlgError:  # of features that are not finite: the loop names step and batch
        return features.sum() * torch.nan
