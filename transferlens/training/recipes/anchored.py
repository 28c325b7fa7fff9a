"""Staying near the source: penalties on weights, or on what layers give, beside the cross-entropy (CE).

    l2_sp        CE + a/2 sum (w - w0)^2 + b/2 |head|^2          w: the backbone's parameters
    behavioural  CE + a/2 sum_j |F_j - F0_j|^2 + b/2 |head|^2    F_j: [channels, cells], of an image at the
                                                                 end of stage j; the mean over images
    delta        as behavioural, with channel c of stage j weighed by C_j attention_jc / cells_j
    ldifs        CE + a mean_j mean (n(F_j) - n(F0_j))^2         n: to length one

(Li et al. 2018 for l2_sp; Li et al. 2019, DELTA; Mukhoti et al. 2024, LDIFS.)

The source is in evaluation mode, always. With `batchnorm: train` the same weights give other features than
its own, so that the penalties on features begin above 0. In the first three, the weight decay of the
training settings is 0, as published: their own terms stand in its place.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from transferlens.models import layers
from transferlens.models.network import Network
from transferlens.training.recipes import stages
from transferlens.training.recipes.base import Data, Group, Phase
from transferlens.training.recipes.channel_attention import learned_attention
from transferlens.training.recipes.penalised import Penalised
from transferlens.training.recipes.settings.anchored import (
    BehaviouralSettings,
    DeltaSettings,
    L2SpSettings,
    LdifsSettings,
)

_LEAST_LENGTH = 1e-10


class L2Sp(Penalised):
    """Weights of the backbone are pulled to where they began. Statistics of batch norms are no weights.

    The penalty does not depend on the batch: the shares by which the loop weighs the losses of the parts of a
    divided batch add up to 1, and so do the penalties.
    """

    settings: L2SpSettings

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run, with a copy of the backbone's parameters."""
        super().start(network, source, data, seed)
        self._backbone = list(network.backbone.parameters())
        self._anchors = [parameter.detach().clone() for parameter in self._backbone]

    def groups(self) -> list[Group]:
        """Without other weight decay."""
        return _undecayed(super().groups())

    def penalty(self, features: Mapping[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """Of the weights."""
        pull = half_squared_distance(self._backbone, self._anchors)
        decay = half_squared_length(self.network.head)
        return self.settings.strength * pull + self.settings.head_decay * decay


class _NearFeatures(Penalised):
    """What the ends of the stages give stays near what they give in the source, for the same images."""

    keeps_source = True

    @classmethod
    def refuses(cls, settings: BehaviouralSettings | LdifsSettings, network: Network) -> str:
        """A network without stages."""
        return stages.refuses(network)

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run."""
        super().start(network, source, data, seed)
        self.watched = stages.stage_ends(self.source, data.images.settings.resolution)

    def phases(self) -> Iterator[Phase]:
        """One phase, in whole batches: the source sees each before it is known how it would be divided."""
        self.mode()
        yield self.whole_phase(divisible=False)

    def extra_images(self, batch: torch.Tensor) -> None:
        """None; the source looks at the batch."""
        with torch.no_grad(), self.phase.autocast(), layers.watch(self.source, self.watched) as seen:
            self.source.backbone(batch)
        self._seen = seen

    def penalty(self, features: Mapping[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """Of what the watched layers give."""
        distances = [
            self.distance(layer, stages.by_channel(features[layer]), stages.by_channel(self._seen[layer]))
            for layer in self.watched
        ]
        return self.settings.strength * self.total(distances)

    def distance(self, layer: str, output: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Between two outputs [N, channels, cells] of a layer."""
        raise NotImplementedError

    def total(self, distances: Sequence[torch.Tensor]) -> torch.Tensor:
        """The penalty of the layers' distances."""
        return torch.stack(list(distances)).sum()


class Behavioural(_NearFeatures):
    """The outputs themselves are compared."""

    settings: BehaviouralSettings

    def groups(self) -> list[Group]:
        """Without other weight decay."""
        return _undecayed(super().groups())

    def penalty(self, features: Mapping[str, torch.Tensor], labels: torch.Tensor) -> torch.Tensor:
        """With that of the head."""
        decay = half_squared_length(self.network.head)
        return super().penalty(features, labels) + self.settings.head_decay * decay

    def distance(self, layer: str, output: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Half the squared distance, an image's mean."""
        return channel_distances(output, source).sum()


class Delta(Behavioural):
    """Channels weigh by the attention that the source pays to them on the target's images."""

    settings: DeltaSettings

    def phases(self) -> Iterator[Phase]:
        """One phase, once attention is known."""
        if self.settings.attention == "learned":
            self.attention = learned_attention(
                self.source, self.network.head, self.data, self.settings, self.watched, self.seed
            )
        yield from super().phases()

    def distance(self, layer: str, output: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """Half the squared distance by channel, weighed, a cell's mean and an image's."""
        _, channels, cells = output.shape
        distances = channel_distances(output, source) / cells
        if self.settings.attention == "uniform":
            return distances.sum()
        return channels * (self.attention[layer] * distances).sum()


class Ldifs(_NearFeatures):
    """Outputs are compared once they are normalised, so that their scale is free."""

    settings: LdifsSettings

    def distance(self, layer: str, output: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
        """The mean squared distance of the normalised outputs."""
        return normalised_distance(output, source, self.settings.normalise)

    def total(self, distances: Sequence[torch.Tensor]) -> torch.Tensor:
        """Their mean over layers."""
        return torch.stack(list(distances)).mean()


def half_squared_distance(tensors: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> torch.Tensor:
    """Half the sum of squared differences between tensors and others of the same shapes, which stay fixed."""
    return torch.stack([_HalfSquare.apply(x, y) for x, y in zip(tensors, others, strict=True)]).sum()


class _HalfSquare(torch.autograd.Function):
    """|x - y|^2 / 2 and its gradient x - y: a tensor at a time is made anew, and none is kept between.

    (What torch derives takes twice as long, which matters where x are all weights of a network.)
    """

    @staticmethod
    def forward(context: Any, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        context.save_for_backward(x, y)
        return (x - y).square_().sum() / 2

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None]:
        x, y = context.saved_tensors
        return (x - y).mul_(gradient), None


def half_squared_length(module: nn.Module) -> torch.Tensor:
    """Half the sum of squares of a module's parameters, weights and biases, as of weight decay."""
    return torch.stack([parameter.square().sum() for parameter in module.parameters()]).sum() / 2


def channel_distances(output: torch.Tensor, source: torch.Tensor) -> torch.Tensor:
    """Half the squared distance by channel, summed over cells, an image's mean: [C] of two [N, C, cells]."""
    return (output - source).square().sum(2).mean(0) / 2


def normalised_distance(output: torch.Tensor, source: torch.Tensor, normalise: str) -> torch.Tensor:
    """Mean squared difference of two [N, C, cells], brought to length one over channels or over cells."""
    axis = {"channel": 1, "token": 2}[normalise]
    return functional.mse_loss(_of_length_one(output, axis), _of_length_one(source, axis))


def _of_length_one(output: torch.Tensor, axis: int) -> torch.Tensor:
    return output / (output.norm(dim=axis, keepdim=True) + _LEAST_LENGTH)


def _undecayed(groups: Sequence[Group]) -> list[Group]:
    """The same groups without weight decay by the optimiser."""
    return [replace(group, weight_decay=0.0) for group in groups]
