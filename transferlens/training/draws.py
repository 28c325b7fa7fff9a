"""Micro-batches that draw at random what the whole batch would have drawn.

Modules that multiply by random factors make those of the whole batch, of ones, and a micro-batch is
multiplied by its share of them. Each micro-batch begins with the generators as the batch found them: so all
get shares of the same factors, whichever modules draw, in whatever order, and when a block is computed again.
Where anything else draws (in attention, or a function in a network of one's own) that would not hold, and
micro-batches draw for themselves.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

import torch
from torch import nn

from transferlens.models.layers import Forward, replaced

# How many leading dimensions of what they are given have factors of their own; None for all.
_DROPOUTS = {nn.Dropout: None, nn.Dropout1d: 2, nn.Dropout2d: 2, nn.Dropout3d: 2}
# Those of torchvision, of timm, and their copies in files of one's own, which drop an image's whole branch.
_STOCHASTIC_DEPTHS = ("StochasticDepth", "DropPath")


class Draws:
    """What a network in training draws at random for a batch that is cut into micro-batches.

    Attributes:
        as_whole: whether micro-batches draw what the whole batch would have.

    Args:
        images: two or more, of which one and two pass through the network to see what draws.
        autocast: makes the context of the network's forward pass.
    """

    def __init__(
        self, network: nn.Module, images: torch.Tensor, autocast: Callable[[], AbstractContextManager]
    ):
        self._modules = {m: _own_dimensions(m) for m in network.modules() if m.training and _multiplies(m)}
        before = generators(images.device)
        one, two = (self._calls(network, images[:count], autocast()) for count in (1, 2))
        by_image = [(module, 2 * rows) for module, rows, _ in one] == [call[:2] for call in two]
        self._orders = {module: order for module, _, order in two}
        alike = all(self._orders[module] == order for module, _, order in two)
        self.as_whole = by_image and alike and all(map(torch.equal, generators(images.device), before))
        set_generators(images.device, before)

    def _calls(
        self, network: nn.Module, images: torch.Tensor, autocast: AbstractContextManager
    ) -> list[tuple[nn.Module, int, list[int]]]:
        """Every call of the modules, which do not draw now: its module, rows, and dimensions as they lie."""
        calls: list[tuple[nn.Module, int, list[int]]] = []

        def note(module: nn.Module, features: torch.Tensor) -> torch.Tensor:
            calls.append((module, len(features), _order(features)))
            return features

        noting = {module: partial(note, module) for module in self._modules}
        with torch.no_grad(), autocast, replaced(noting):
            network(images)
        return calls

    @contextmanager
    def share(self, batch: torch.Tensor, start: int, size: int) -> Iterator[None]:
        """Let images [start, start + size) of the batch pass through the network, forward and backward."""
        if not self.as_whole:
            yield
            return
        if start == 0:
            self._begun = generators(batch.device)
        set_generators(batch.device, self._begun)
        shares = {
            module: partial(self._multiplied, module, module.forward, len(batch), start, size)
            for module in self._modules
        }
        with replaced(shares):
            yield

    def _multiplied(
        self, module: nn.Module, forward: Forward, images: int, start: int, size: int, features: torch.Tensor
    ) -> torch.Tensor:
        """Features of `size` images times their share of what `forward` makes of ones for all images.

        Args:
            features: [size * rows, ...]; an image may have several rows (windows of attention).
        """
        rows = len(features) // size
        own = self._modules[module] or features.ndim
        shape = [images * rows, *features.shape[1:own], *[1] * (features.ndim - own)]
        factors = forward(_ones(features, shape, self._orders.get(module) or _order(features)))
        return features * factors[start * rows : (start + size) * rows]


def _multiplies(module: nn.Module) -> bool:
    """Whether a module multiplies by random factors, and does nothing else."""
    if type(module) in _DROPOUTS:
        return module.p > 0
    return type(module).__name__ in _STOCHASTIC_DEPTHS


def _own_dimensions(module: nn.Module) -> int | None:
    return _DROPOUTS.get(type(module), 1)


def _order(features: torch.Tensor) -> list[int]:
    """Dimensions from the outermost to the innermost in memory, which decides the order of draws."""
    return sorted(range(features.ndim), key=features.stride, reverse=True)


def _ones(features: torch.Tensor, shape: list[int], order: list[int]) -> torch.Tensor:
    """Ones of a shape that lie in this order, of the features' type."""
    ones = features.new_ones([shape[dimension] for dimension in order])
    return ones.permute([order.index(dimension) for dimension in range(len(shape))])


def generators(device: torch.device) -> list[torch.Tensor]:
    """The states of torch's generators: the CPU's, and the GPU's if that is the device."""
    states = [torch.get_rng_state()]
    return [*states, torch.cuda.get_rng_state(device)] if device.type == "cuda" else states


def set_generators(device: torch.device, states: list[torch.Tensor]) -> None:
    """Put the generators back to states that `generators` gave."""
    torch.set_rng_state(states[0])
    if device.type == "cuda":
        torch.cuda.set_rng_state(states[1], device)
