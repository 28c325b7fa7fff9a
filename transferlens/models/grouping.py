"""Many networks of one architecture as one: the channels of each are a group of the channels of the whole.

A layer that treats channels by groups, or each for itself, then computes the same for each of the networks as
it would alone, in one call for all of them. Which layers do is known here; whether a network is made of them
alone, in whatever order its own code calls them, is found by trying.
"""

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from transferlens.models.network import Network

# Images have three channels; with a fourth, of zeros, oneDNN finds the gradients of the first layer's weights
# in half of the time (of groups of three by a general matrix product, twenty times slower than of one group).
IMAGE_CHANNELS = 4
# Layers that treat every channel alike and by itself.
_BY_CHANNEL = (
    nn.Identity,
    nn.ReLU,
    nn.ReLU6,
    nn.LeakyReLU,
    nn.ELU,
    nn.GELU,
    nn.SiLU,
    nn.Hardswish,
    nn.Hardsigmoid,
    nn.Sigmoid,
    nn.Tanh,
    nn.MaxPool2d,
    nn.AvgPool2d,
    nn.AdaptiveAvgPool2d,
    nn.Sequential,  # of nothing
    nn.Flatten,  # of pooled maps; of others it would mix them, which a trial finds
)
_TRIED = 4  # images of a trial
_TOLERANCE = 1e-3  # of a trial's logits, relative to the largest: float32 sums in another order


class Grouped(nn.Module):
    """Networks side by side, each in a slot of its own.

    Attributes:
        tensors: parameters and buffers of all slots, by the names that they have in one network's state.
    """

    def __init__(self, network: Network, slots: int):
        """Room for networks like this one, whose modes (training, evaluation) are taken over."""
        super().__init__()
        self.slots = slots
        self.tensors: dict[str, torch.Tensor] = {}
        self._parts: dict[str, Any] = {}  # of a tensor [slots, ...], what a network's own state holds
        self._counters: list[torch.Tensor] = []
        self.backbone = self._of(network.backbone, "backbone")
        self.head = _Heads(network.head, slots)
        self._hold("head", self.head, ("weight", "bias"))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits [slots, N, C] of images [N, slots * IMAGE_CHANNELS, H, W] (see `room_for`)."""
        features = self.backbone(images)
        return self.head(features.view(len(images), self.slots, -1).transpose(0, 1))

    def count(self) -> None:
        """Note a batch of training, as the batch norms of one network do by themselves."""
        if self._counters:
            torch._foreach_add_(self._counters, 1)

    def stack(self, name: str, tensor: torch.Tensor | None = None) -> torch.Tensor:
        """The tensor of this name, or another one like it, as a view [slots, ...] of one network's shape."""
        given = self.tensors[name] if tensor is None else tensor
        return given.detach().unflatten(0, (self.slots, -1))[self._parts[name]]

    def load(self, slot: int, state: Mapping[str, torch.Tensor]) -> None:
        """Put a network's state into a slot."""
        for name in self.tensors:
            self.stack(name)[slot].copy_(state[name])

    def state(self, slot: int) -> dict[str, torch.Tensor]:
        """The state of the network in a slot: views of it, which change with it."""
        return {name: self.stack(name)[slot] for name in self.tensors}

    def _of(self, module: nn.Module, path: str) -> nn.Module:
        """A module of all slots like this one of one."""
        if isinstance(module, nn.Conv2d):
            return self._convolution(module, path)
        if isinstance(module, nn.BatchNorm2d):
            return self._batch_norm(module, path)
        made = copy.copy(module)
        made._modules = {name: self._of(child, f"{path}.{name}") for name, child in module._modules.items()}
        return made

    def _convolution(self, one: nn.Conv2d, path: str) -> nn.Conv2d:
        inputs = IMAGE_CHANNELS if one.in_channels == 3 else one.in_channels
        shape = one.kernel_size, one.stride, one.padding, one.dilation
        made = nn.Conv2d(
            self.slots * inputs, self.slots * one.out_channels, *shape, self.slots * one.groups, bias=False
        )
        made.to(one.weight.device, memory_format=torch.channels_last)
        nn.init.zeros_(made.weight)
        if one.bias is not None:
            made.bias = nn.Parameter(one.bias.detach().repeat(self.slots))
        self._hold(path, made, ("weight", "bias"))
        if one.in_channels == 3:
            self._parts[f"{path}.weight"] = (slice(None), slice(None), slice(3))
        return made

    def _batch_norm(self, one: nn.BatchNorm2d, path: str) -> nn.BatchNorm2d:
        made = nn.BatchNorm2d(self.slots * one.num_features, one.eps, one.momentum, one.affine)
        made.to(one.running_mean.device).train(one.training)
        made.num_batches_tracked = None
        self._hold(path, made, ("weight", "bias", "running_mean", "running_var"))
        counts = torch.zeros(self.slots, dtype=torch.long, device=one.running_mean.device)
        self.tensors[f"{path}.num_batches_tracked"] = counts
        self._parts[f"{path}.num_batches_tracked"] = (slice(None), 0)
        if one.training:
            self._counters.append(counts)
        return made

    def _hold(self, path: str, module: nn.Module, names: Sequence[str]) -> None:
        for name in names:
            if (tensor := getattr(module, name)) is not None:
                self.tensors[f"{path}.{name}"] = tensor
                self._parts[f"{path}.{name}"] = ...


class _Heads(nn.Module):
    """The linear heads of all slots, their weights below each other: [slots, N, D] to [slots, N, C]."""

    def __init__(self, one: nn.Linear, slots: int):
        super().__init__()
        self.slots = slots
        self.weight = nn.Parameter(one.weight.detach().repeat(slots, 1))
        self.bias = None if one.bias is None else nn.Parameter(one.bias.detach().repeat(slots))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        weights = self.weight.unflatten(0, (self.slots, -1)).transpose(1, 2)
        if self.bias is None:
            return torch.bmm(features, weights)
        return torch.baddbmm(self.bias.view(self.slots, 1, -1), features, weights)


def room_for(slots: int, batch: torch.Size | Sequence[int], device: torch.device) -> torch.Tensor:
    """Room for the batches [N, 3, H, W] of all slots: float32[N, H, W, slots, IMAGE_CHANNELS] of zeros."""
    count, _, height, width = batch
    return torch.zeros(count, height, width, slots, IMAGE_CHANNELS, device=device)


def place(room: torch.Tensor, slot: int, batch: torch.Tensor) -> None:
    """Put a slot's batch [N, 3, H, W] where `room_for` made room for it."""
    room[:, :, :, slot, :3] = batch.permute(0, 2, 3, 1)


def as_images(room: torch.Tensor) -> torch.Tensor:
    """What `room_for` made as the images that `Grouped` takes, in channels-last memory."""
    return room.flatten(3).permute(0, 3, 1, 2)


def ungroupable(network: Network, side: int) -> str:
    """Why networks like this cannot be one by groups of channels, in words; '' if they can.

    Two of them are tried on a few images of this side: together, and each by itself.
    """
    for module in network.backbone.modules():
        if not _groupable(module):
            return f"it has a layer of kind {type(module).__name__}"
    try:
        together, alone = _trial(network, side)
    except RuntimeError as error:  # of shapes, in code of its own between the layers
        return f"its layers do not work side by side ({str(error).splitlines()[0]})"
    alike = together.shape == alone.shape and (together - alone).abs().max() <= _TOLERANCE * alone.abs().max()
    return "" if alike else "its layers side by side do not give what they give alone"


def _groupable(module: nn.Module) -> bool:
    """Whether a module of all slots can be made like it, as far as its kind tells."""
    if isinstance(module, nn.Conv2d):
        return type(module) is nn.Conv2d and module.padding_mode == "zeros"
    if isinstance(module, nn.BatchNorm2d):
        usual = type(module) is nn.BatchNorm2d and module.momentum is not None
        return usual and module.track_running_stats
    own = list(module.parameters(recurse=False)) + list(module.buffers(recurse=False))
    return not own and (bool(module._modules) or type(module) in _BY_CHANNEL)


@torch.no_grad()
def _trial(network: Network, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits [2, N, C] of two networks, each on images of its own: together, and alone.

    In the network's modes: where it draws at random in training, the two differ.
    """
    generator = torch.Generator().manual_seed(0)
    device = next(network.parameters()).device
    images = torch.randn((2, _TRIED, 3, side, side), generator=generator).to(device)
    ones = [copy.deepcopy(network) for _ in images]
    for one in ones:
        for tensor in one.state_dict().values():
            if tensor.is_floating_point():
                drawn = torch.rand(tensor.shape, generator=generator).to(device)
                tensor.mul_(0.5 + drawn).add_(0.1 * drawn * (tensor.ndim == 1))  # biases begin as zeros
    grouped, room = Grouped(ones[0], len(ones)), room_for(len(ones), images[0].shape, device)
    for slot, (one, own) in enumerate(zip(ones, images, strict=True)):
        grouped.load(slot, one.state_dict())
        place(room, slot, own)
    alone = torch.stack([one(own) for one, own in zip(ones, images, strict=True)])
    return grouped(as_images(room)), alone
