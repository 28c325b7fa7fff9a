"""A residual network for small images, of which hundreds train in minutes on a CPU."""

from collections.abc import Callable

import torch
from torch import nn


def small_resnet(classes: int, width: int = 32) -> nn.Module:
    """Three residual blocks for images of 28 to 64 pixels; class maps have a quarter of their side.

    Args:
        width: channels of the first stage.
    """
    network = nn.Sequential()
    network.add_module("stem", _conv_bn_relu(3, width, stride=2))
    network.add_module("block1", _ResidualBlock(width, width, stride=1))
    network.add_module("block2", _ResidualBlock(width, 2 * width, stride=2))
    network.add_module("block3", _ResidualBlock(2 * width, 4 * width, stride=1))
    network.add_module("pool", nn.AdaptiveAvgPool2d(1))
    network.add_module("flatten", nn.Flatten())
    network.add_module("fc", nn.Linear(4 * width, classes))
    return network


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
