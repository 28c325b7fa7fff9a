"""Recipes that move some of the backbone more than the rest, or nothing else.

* `layerwise` (layer-wise decay of the learning rate, as in Clark et al. 2020 and Bao et al. 2022): a
  parameter d blocks below the head has the rate lr * max(smallest, decay^d); the head, at d = 0, has all
  of it. Blocks are those of the network in depth order, the stem is the first of them; what stands between
  two belongs to the one before.
  Caveat: at `decay: 0` only the head moves, but running statistics do, too, unless `batchnorm: eval` keeps
  them.
* `bitfit` (Ben Zaken et al. 2022; for normalisations Frankle et al. 2021): of the backbone only biases, or
  only scales and biases of normalisations, are trained, beside the head.
  Caveat: convolutions before batch norms have no bias, so that `biases` of such a network are the batch
  norms'.
"""

from collections import defaultdict
from collections.abc import Iterator

from torch import nn
from torch.nn.modules.batchnorm import _NormBase

from transferlens.models.blocks import block_numbers
from transferlens.models.network import Network
from transferlens.training.recipes.base import Data, Group, Recipe
from transferlens.training.recipes.settings.selective import BitFitSettings, LayerwiseSettings

NORMS = (_NormBase, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm)


class Layerwise(Recipe):
    """Trains every parameter, the slower the further it is from the head."""

    settings: LayerwiseSettings

    @classmethod
    def refuses(cls, settings: LayerwiseSettings, network: Network) -> str:
        """A network of which no depth is known."""
        return "" if network.parts.blocks else "nothing is known of the order of its blocks"

    def groups(self) -> list[Group]:
        """A group for every block, the head's first; two where vectors do not decay."""
        scales, members = rate_scales(self.network, self.settings), defaultdict(list)
        for name, parameter in self.network.named_parameters():
            vector = parameter.ndim <= 1 and self.settings.decayed == "matrices"
            members[scales[name], 0.0 if vector else None].append(parameter)
        by_rate = sorted(members.items(), key=lambda item: -item[0][0])
        return [Group(parameters, rate, decay) for (rate, decay), parameters in by_rate]


def rate_scales(network: Network, settings: LayerwiseSettings) -> dict[str, float]:
    """The factor of every parameter's learning rate, by its name in the network."""
    numbers = block_numbers(network)
    head = max(numbers.values())
    return {
        name: 1.0
        if number == head
        else settings.backbone_rate * max(settings.smallest, settings.decay ** (head - number))
        for name, number in numbers.items()
    }


class BitFit(Recipe):
    """Trains the head and few, small parameters of the backbone, and freezes the others."""

    settings: BitFitSettings

    @classmethod
    def refuses(cls, settings: BitFitSettings, network: Network) -> str:
        """A backbone without such parameters."""
        if next(selected(network.backbone, settings.trained), None) is not None:
            return ""
        return f"its backbone has no {'biases' if settings.trained == 'biases' else 'normalisations'}"

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run in which most parameters need no gradients."""
        super().start(network, source, data, seed)
        network.backbone.requires_grad_(False)
        for parameter in selected(network.backbone, self.settings.trained):
            parameter.requires_grad_(True)

    def groups(self) -> list[Group]:
        """The head, and what is trained of the backbone."""
        trained = list(selected(self.network.backbone, self.settings.trained))
        return [Group(list(self.network.head.parameters())), Group(trained, self.settings.backbone_rate)]

    def finish(self) -> None:
        """The network is as any other again."""
        self.network.requires_grad_(True)


def selected(backbone: nn.Module, which: str) -> Iterator[nn.Parameter]:
    """`biases`: every bias of a backbone; `norms`: scales and biases of its normalisations."""
    for module in backbone.modules():
        for name, parameter in module.named_parameters(recurse=False):
            if name.endswith("bias") if which == "biases" else isinstance(module, NORMS):
                yield parameter
