"""The second head: attention, a noisy bottleneck, and a linear layer.

    (mu, s) = linear(mean over places of A(f)),   sigma = softplus(s - 5),   t = mu + sigma * noise,

and logits are linear in t; in evaluation t = mu. What t says of the image is bounded by

    KL(N(mu, sigma^2) || N(0, 1)) = (mu^2 + sigma^2 - 1) / 2 - ln sigma   a dimension.

Caveat: the released code takes exp(sigma) for the scale here, while it samples with sigma. As sigma is about
0.007 at first, that is nearly mu^2 / 2. The published weight was tuned with it.

Source: Yang et al., ICCV 2023; Alemi et al., Deep variational information bottleneck (ICLR 2017).
"""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional

from transferlens.models.network import Network
from transferlens.training.recipes.concept.attention import DualAttention, Join
from transferlens.training.recipes.concept.seen import seen_by

_SHIFT = 5.0


@dataclass(frozen=True)
class Encoded:
    """What the bottleneck is told of N images: float[N, size] each."""

    mean: torch.Tensor
    scale: torch.Tensor

    def sampled(self) -> torch.Tensor:
        """[N, size], with noise of torch's generator."""
        return self.mean + torch.randn_like(self.mean) * self.scale


class Encoder(nn.Module):
    """From maps [N, D, h, w] to what passes the bottleneck."""

    def __init__(self, channels: int, size: int, join: Join):
        super().__init__()
        self.attention = DualAttention(channels, join)
        self.linear = nn.Linear(self.attention.out_channels, 2 * size)

    def forward(self, maps: torch.Tensor) -> Encoded:
        """The mean and the scale of each image."""
        mean, scale = self.linear(self.attention(maps).mean((2, 3))).float().chunk(2, dim=1)
        return Encoded(mean, functional.softplus(scale - _SHIFT))


def information(encoded: Encoded, kind: Literal["released", "exact"]) -> torch.Tensor:
    """The mean over images of the divergence from N(0, 1), summed over dimensions, in nats."""
    log_scale = encoded.scale if kind == "released" else encoded.scale.log()
    divergence = (encoded.mean.square() + (2 * log_scale).exp() - 1) / 2 - log_scale
    return divergence.sum(1).mean()


class Bottlenecked(nn.Module):
    """A backbone whose features are the means behind the bottleneck.

    Attributes:
        inner: the network with its own head.
        encoder: of its class maps.
    """

    def __init__(self, inner: Network, encoder: Encoder):
        super().__init__()
        self.inner, self.encoder = inner, encoder

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """float32[N, size] of images [N, 3, H, W]."""
        return self.encoder(seen_by(self.inner, images).maps).mean
