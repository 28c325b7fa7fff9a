"""Low-rank adaptation: the backbone's weights stay, and a product of two thin factors is added to them.

`lora` (Hu et al. 2022): W' = W + alpha / rank * B A, with A [rank, inputs] drawn as a fresh layer's
weights and B [outputs, rank] of zeros, so that the run starts at the source exactly. For a convolution A
is one of the same kernel, stride, padding, dilation and groups to `rank` channels, and B one of 1x1: as
both are linear, B(A(x)) is one convolution by their product, which is what is added here. Trained are
factors and head.

Caveats: a grouped convolution needs a rank that its groups divide. Factors of a depthwise convolution
would be larger than its weights, so these stay frozen, as do biases, normalisations, and weights that are
no layer's own (the joint projection of torch's attention). Running statistics move in training mode,
although no factor holds them: they stay by default.
"""

import copy
import math
from itertools import chain
from operator import attrgetter

import torch
from torch import nn
from torch.nn.utils import parametrize

from transferlens.core.seeding import seed_for
from transferlens.models.network import Network
from transferlens.training.recipes.base import Data, Group, Recipe
from transferlens.training.recipes.settings.low_rank import LoraSettings

Layer = nn.Linear | nn.modules.conv._ConvNd


class LowRank(nn.Module):
    """What is added to a layer's weights.

    Attributes:
        a: [rank, inputs / groups, *kernel].
        b: [outputs, rank / groups].
        scale: alpha / rank.
    """

    def __init__(self, layer: Layer, rank: int, alpha: float, generator: torch.Generator):
        super().__init__()
        outputs, *inputs = layer.weight.shape
        self.groups, self.scale = groups_of(layer), alpha / rank
        a = torch.empty(rank, *inputs)
        nn.init.kaiming_uniform_(a, a=math.sqrt(5), generator=generator)
        self.a = nn.Parameter(a.to(layer.weight))
        self.b = nn.Parameter(layer.weight.new_zeros(outputs, rank // self.groups))

    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        """The weights [outputs, inputs / groups, *kernel] with the product of the factors, group by group."""
        b = self.b.unflatten(0, (self.groups, -1))  # [groups, outputs / groups, rank / groups]
        a = self.a.flatten(1).unflatten(0, (self.groups, -1))  # [groups, rank / groups, inputs and kernel]
        return weight + self.scale * torch.bmm(b, a).view_as(weight)


def groups_of(layer: Layer) -> int:
    """Groups of a convolution; a linear layer is one."""
    return getattr(layer, "groups", 1)


def adaptable(backbone: nn.Module, fragments: list[str] | None) -> dict[str, Layer]:
    """The linear and convolutional layers of a backbone that factors are for, by name.

    Args:
        fragments: a layer's name must hold one of them; None for all layers.
    """
    return {
        name: layer
        for name, layer in backbone.named_modules()
        if isinstance(layer, Layer)
        and not isinstance(layer, nn.modules.conv._ConvTransposeNd)
        and not 1 < groups_of(layer) == layer.in_channels  # depthwise
        and (fragments is None or any(fragment in name for fragment in fragments))
    }


class Lora(Recipe):
    """Trains factors and head. The network is plain again wherever it is evaluated and stored.

    Attributes:
        plain: a network without factors, which takes W' in place of W.
    """

    settings: LoraSettings
    plain: Network

    @classmethod
    def refuses(cls, settings: LoraSettings, network: Network) -> str:
        """Nothing to adapt, or a rank that the groups of a layer do not divide."""
        layers = adaptable(network.backbone, settings.layers)
        if not layers:
            return f"no linear or convolutional layer of its backbone is called {settings.layers or 'so'}"
        for name, layer in layers.items():
            if settings.rank % (groups := groups_of(layer)):
                return f"rank {settings.rank} is no multiple of the {groups} groups of layer '{name}'"
        return ""

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run: factors beside every layer, and all else in the backbone frozen."""
        super().start(network, source, data, seed)
        self.plain = copy.deepcopy(network)
        network.backbone.requires_grad_(False)
        generator = torch.Generator().manual_seed(seed_for(seed, "factors"))
        for layer in adaptable(network.backbone, self.settings.layers).values():
            factors = LowRank(layer, self.settings.rank, self.settings.alpha, generator)
            parametrize.register_parametrization(layer, "weight", factors)

    def groups(self) -> list[Group]:
        """The head, and the factors."""
        factors = [parameter for parameter in self.network.backbone.parameters() if parameter.requires_grad]
        return [Group(list(self.network.head.parameters())), Group(factors, self.settings.backbone_rate)]

    @torch.no_grad()
    def inference(self) -> Network:
        """A plain network with the factors added: what a layer with factors calls its weight is W'."""
        for name, value in chain(self.plain.named_parameters(), self.plain.named_buffers()):
            value.copy_(attrgetter(name)(self.network))
        return self.plain
