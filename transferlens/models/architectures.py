"""Architectures by name: each one knows its backbone, its head, and the layer of its class maps."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import nn

from transferlens.core.settings import ArchitectureSettings
from transferlens.models import efficientnet


class Network(nn.Module):
    """A backbone that turns images [N, 3, H, W] into features [N, D], and a linear head to logits [N, C].

    Attributes:
        class_map_layer: the layer of the backbone whose output [N, channels, h, w] class maps are made of.
        pools: whether features are that output's means over its cells, so that class maps add up to logits.
    """

    def __init__(self, backbone: nn.Module, head: nn.Linear, class_map_layer: str, pools: bool):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.class_map_layer = class_map_layer
        self.pools = pools

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits float32[N, C] of images [N, 3, H, W]."""
        return self.head(self.backbone(images))

    def with_head(self, head: nn.Linear) -> "Network":
        """The same backbone under another head."""
        return Network(self.backbone, head, self.class_map_layer, self.pools)


@dataclass(frozen=True)
class _Torchvision:
    """Where a torchvision network keeps its parts."""

    head: str  # the last linear layer
    class_map_layer: str  # the last layer whose output has a height and a width
    pools: bool  # whether only global average pooling lies between that layer and the head
    extra: dict


_TORCHVISION = {
    "resnet18": _Torchvision("fc", "layer4", True, {}),
    "resnet34": _Torchvision("fc", "layer4", True, {}),
    "resnet50": _Torchvision("fc", "layer4", True, {}),
    "vgg16": _Torchvision("classifier.6", "features", False, {}),
    # The published weights expect their own input scaling; always on, so that every model shares it.
    "googlenet": _Torchvision(
        "fc", "inception5b", True, {"aux_logits": False, "transform_input": True, "init_weights": True}
    ),
}


NAMES = ["small_resnet", *_TORCHVISION, "efficientnet_lite0"]


def build(settings: ArchitectureSettings, classes: int) -> Network:
    """A freshly initialised network with a head of `classes` outputs (torch's global seed decides it)."""
    if settings.name == "small_resnet":
        return _small_resnet(settings.width, classes)
    if settings.name == "efficientnet_lite0":
        head = nn.Linear(efficientnet.FEATURES, classes)
        return Network(efficientnet.Backbone(), head, "activation", pools=True)
    return _torchvision(settings.name, classes)


def _torchvision(name: str, classes: int) -> Network:
    import torchvision

    parts = _TORCHVISION[name]
    backbone = getattr(torchvision.models, name)(weights=None, num_classes=classes, **parts.extra)
    head = backbone.get_submodule(parts.head)
    backbone.set_submodule(parts.head, nn.Identity())
    return Network(backbone, head, parts.class_map_layer, parts.pools)


def head_place(name: str) -> str:
    """Where the head is in the network as its publishers name it."""
    return _TORCHVISION[name].head if name in _TORCHVISION else "fc"


def torchvision_state(name: str, weights: str) -> dict[str, torch.Tensor]:
    """A torchvision network's published weights, with this package's parameter names.

    Raises:
        KeyError: `weights` is no weight name of this architecture.
    """
    import torchvision

    parts = _TORCHVISION[name]
    published = torchvision.models.get_model_weights(name)[weights].get_state_dict(check_hash=True)
    return from_torchvision_names(name, published, parts.head)


def from_published_names(name: str, state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Rename a state as its publishers name it: the head's parameters to `head.*`, others to `backbone.*`."""
    if name == "efficientnet_lite0":
        return efficientnet.from_published_names(state)
    return from_torchvision_names(name, state)


def from_torchvision_names(
    name: str, state: dict[str, torch.Tensor], head: str | None = None
) -> dict[str, torch.Tensor]:
    """Rename a torchvision state: the head's parameters to `head.*`, the others to `backbone.*`."""
    head = head or _TORCHVISION[name].head
    auxiliary = ("aux1.", "aux2.")
    return {
        key.replace(head, "head", 1) if key.startswith(head + ".") else f"backbone.{key}": value
        for key, value in state.items()
        if not key.startswith(auxiliary)
    }


def _small_resnet(width: int, classes: int) -> Network:
    """Three residual blocks for images of 28 to 64 pixels; class maps have a quarter of their side."""
    backbone = nn.Sequential()
    backbone.add_module("stem", _conv_bn_relu(3, width, stride=2))
    backbone.add_module("block1", _ResidualBlock(width, width, stride=1))
    backbone.add_module("block2", _ResidualBlock(width, 2 * width, stride=2))
    backbone.add_module("block3", _ResidualBlock(2 * width, 4 * width, stride=1))
    backbone.add_module("pool", nn.AdaptiveAvgPool2d(1))
    backbone.add_module("flatten", nn.Flatten())
    return Network(backbone, nn.Linear(4 * width, classes), "block3", pools=True)


def _conv_bn_relu(channels: int, out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, out, 3, stride, padding=1, bias=False),
        nn.BatchNorm2d(out),
        nn.ReLU(inplace=True),
    )


class _ResidualBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut (He et al. 2016, option B)."""

    def __init__(self, channels: int, out: int, stride: int):
        super().__init__()
        self.first = _conv_bn_relu(channels, out, stride)
        self.second = nn.Sequential(nn.Conv2d(out, out, 3, padding=1, bias=False), nn.BatchNorm2d(out))
        self.shortcut: Callable[[torch.Tensor], torch.Tensor] = nn.Identity()
        if stride > 1 or channels != out:
            self.shortcut = nn.Sequential(
                nn.Conv2d(channels, out, 1, stride, bias=False), nn.BatchNorm2d(out)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps of feature maps."""
        return torch.relu_(self.second(self.first(x)) + self.shortcut(x))
