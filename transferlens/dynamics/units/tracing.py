"""Receptive fields: which pixels of the image each cell of a layer can depend on, by exact arithmetic.

One forward pass is followed operation by operation. Every row of cells of a map carries the interval of
image rows that it sees, every column that of image columns. A window of cells (a convolution, a pooling) sees
what its cells see; an operation on several maps (the sum of a residual block, a concatenation) sees what any
of them sees. Padding sees nothing. So the intervals are exact at the borders, too. Nothing depends on weights
or pixels: the network may lie on torch's `meta` device.

The outcome of an operation that mixes all positions, or that is not followed (attention, global pooling, a
grid reshaped to tokens), sees the whole image, and so does all that is made of it.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from transferlens.dynamics.units import fields
from transferlens.dynamics.units.fields import Fields
from transferlens.models import layers


def trace(network: nn.Module, paths: Sequence[str], side: tuple[int, int]) -> dict[str, Fields]:
    """The receptive fields of layers, by path, for images of a height and a width.

    Raises:
        ConfigError: the network has no such layer.
        ValueError: the network is in training mode, or a layer gives something else than one tensor that is
            made of the image.
    """
    if any(module.training for module in network.modules()):
        raise ValueError("receptive fields are of a network in evaluation mode: call .eval() first")
    parameter = next(network.parameters())
    image = torch.zeros(1, 3, *side, device=parameter.device, dtype=parameter.dtype)
    follower, found = _Follower(), {}

    def keep(path: str, output: torch.Tensor) -> None:
        found[path] = follower.of(output)

    # In inference mode operations arrive as the network calls them, before they are taken to pieces.
    with torch.inference_mode(), layers.hooked(network, paths, keep), follower:
        follower.learn(image, Fields(*(np.stack([np.arange(n), np.arange(n) + 1], axis=1) for n in side)))
        network(image)
    missing = [path for path in paths if found.get(path) is None]
    if missing:
        raise ValueError(f"layer '{missing[0]}' gives no tensor that is made of the image")
    return found


class _Follower(TorchDispatchMode):
    """Follows the fields of all tensors that are made of the image, while it is entered."""

    def __init__(self) -> None:
        super().__init__()
        self.known = WeakTensorKeyDictionary()  # of Fields

    def learn(self, tensor: torch.Tensor, seen: Fields) -> None:
        """Note the fields of a tensor."""
        self.known[tensor] = seen

    def of(self, tensor: Any) -> Fields | None:
        """The fields of a tensor; None for what is not made of the image."""
        return self.known.get(tensor) if isinstance(tensor, torch.Tensor) else None

    def __torch_dispatch__(
        self, function: Any, _types: Any, args: tuple = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """Do an operation, and note what its outcome sees."""
        outcome = function(*args, **(kwargs or {}))
        given = [seen for tensor in _tensors(args) if (seen := self.of(tensor)) is not None]
        if given:
            call = fields.Call(function, args, kwargs or {}, given)
            for tensor in _tensors([outcome]):
                self.learn(tensor, fields.seen(call, tensor))
        return outcome


def _tensors(values: Sequence[Any]) -> list[torch.Tensor]:
    """The tensors among values, and in lists of them."""
    found = []
    for value in values:
        if isinstance(value, list | tuple):
            found += _tensors(value)
        elif isinstance(value, torch.Tensor):
            found.append(value)
    return found
