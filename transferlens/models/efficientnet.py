"""EfficientNet-Lite0 to 2: convolutions, global average pooling, one linear layer (Tan & Le 2019, "lite").

Built here, of torch's parts: torchvision's EfficientNet has squeeze-and-excitation and SiLU built in, and
timm brings clients of a network along. Modules are named as in the published weights, but for underscores.
"""

import math

import torch
from torch import nn
from torch.nn import functional

_FEATURES = 1280
# Of every stage: expansion, kernel, stride of its first block, channels out, blocks.
_STAGES = [
    (1, 3, 1, 16, 1),
    (6, 3, 2, 24, 2),
    (6, 5, 2, 40, 2),
    (6, 3, 2, 80, 3),
    (6, 5, 1, 112, 3),
    (6, 5, 2, 192, 4),
    (6, 3, 1, 320, 1),
]
# Factors of channels and of blocks, of each variant.
SCALES = {
    "efficientnet_lite0": (1.0, 1.0),
    "efficientnet_lite1": (1.0, 1.1),
    "efficientnet_lite2": (1.1, 1.2),
}


class EfficientNetLite(nn.Sequential):
    """From images [N, 3, H, W] to logits [N, classes].

    Args:
        width, depth: factors of channels and blocks of every stage; those of the stem and of the last
            convolution, and the blocks of the first and the last stage, stay (the "lite" variants' rule).
    """

    def __init__(self, classes: int, width: float, depth: float):
        super().__init__()
        self.conv_stem = _conv(3, 32, kernel=3, stride=2)
        self.bn0 = _norm(32)
        self.activation_stem = nn.ReLU6(inplace=True)
        self.blocks, channels = nn.Sequential(), 32
        for stage, (expansion, kernel, stride, out, count) in enumerate(_STAGES):
            inner = 0 < stage < len(_STAGES) - 1
            for i in range(math.ceil(count * depth) if inner else count):
                self.blocks.append(
                    _Block(channels, _scaled(out, width), kernel, 1 if i else stride, expansion)
                )
                channels = _scaled(out, width)
        self.conv_head = _conv(channels, _FEATURES)
        self.bn1 = _norm(_FEATURES)
        self.activation = nn.ReLU6(inplace=True)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.flatten = nn.Flatten()
        self.fc = nn.Linear(_FEATURES, classes)


def _scaled(channels: int, width: float) -> int:
    """Channels times the factor, as the nearest multiple of 8 that is no more than a tenth less."""
    scaled = channels * width
    nearest = max(8, int(scaled + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * scaled else nearest


def _conv(channels: int, out: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    if stride > 1:
        return _SameConv(channels, out, kernel, stride, groups=groups, bias=False)
    return nn.Conv2d(channels, out, kernel, padding=kernel // 2, groups=groups, bias=False)


class _SameConv(nn.Conv2d):
    """A strided convolution padded as TensorFlow pads (`SAME`), which the weights were trained with.

    An odd pixel of padding goes to the right and below; torch's own padding would shift what is seen.
    """

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pad as TensorFlow does, more behind than before, and convolve."""
        missing = [
            max((-(-side // stride) - 1) * stride + kernel - side, 0)
            for side, kernel, stride in zip(x.shape[2:], self.kernel_size, self.stride, strict=True)
        ]
        top, left = missing[0] // 2, missing[1] // 2
        return super().forward(functional.pad(x, (left, missing[1] - left, top, missing[0] - top)))


class _Block(nn.Module):
    """An inverted residual block: expand, filter every channel by itself, project (Sandler et al. 2018)."""

    def __init__(self, channels: int, out: int, kernel: int, stride: int, expansion: int):
        super().__init__()
        inner = expansion * channels
        self.expands, self.shortcut = expansion > 1, stride == 1 and channels == out
        if self.expands:
            self.expand_conv = _conv(channels, inner)
            self.bn0 = _norm(inner)
        self.depthwise_conv = _conv(inner, inner, kernel, stride, groups=inner)
        self.bn1 = _norm(inner)
        self.project_conv = _conv(inner, out)
        self.bn2 = _norm(out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Feature maps [N, out, h, w] of maps [N, channels, H, W]."""
        y = functional.relu6(self.bn0(self.expand_conv(x)), inplace=True) if self.expands else x
        y = functional.relu6(self.bn1(self.depthwise_conv(y)), inplace=True)
        y = self.bn2(self.project_conv(y))
        return y + x if self.shortcut else y


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=1e-3)
