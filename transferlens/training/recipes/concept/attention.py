"""Dual attention: over the places of a map, and over its channels.

For a map f [D, h, w], with X [D, hw] its cells,

    places:    q, k = 1x1 convolutions to D / 8, v one to D;   S = softmax of q_i . k_j over j;
               g_p sum_j S_ij v_j + f_i
    channels:  G = X X';   S = softmax of (the row's maximum - G) along rows;   g_c S X + f

Both factors g are learned and 0 at first, so that each gives f. As a softmax is the same for scores that
differ by a constant, S of channels is that of -G; both are scaled dot products of scale 1, which torch
computes without ever holding S (D x D numbers an image).

Source: Fu et al., Dual attention network for scene segmentation (CVPR 2019).
"""

from typing import Literal

import torch
from torch import nn
from torch.nn.functional import scaled_dot_product_attention

_REDUCTION = 8

Join = Literal["sum", "concatenation"]


class PlaceAttention(nn.Module):
    """Every place of a map, with what resembles it elsewhere."""

    def __init__(self, channels: int):
        super().__init__()
        reduced = max(1, channels // _REDUCTION)
        self.query, self.key = (nn.Conv2d(channels, reduced, 1) for _ in range(2))
        self.value = nn.Conv2d(channels, channels, 1)
        self.factor = nn.Parameter(torch.zeros(1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[N, D, h, w] of maps of this shape."""
        query, key, value = (
            made(maps).flatten(2).transpose(1, 2).contiguous() for made in (self.query, self.key, self.value)
        )
        taken = scaled_dot_product_attention(query, key, value, scale=1.0)  # [N, places, D]
        return self.factor * taken.transpose(1, 2).reshape(maps.shape) + maps


class ChannelAttention(nn.Module):
    """Every channel of a map, with those that resemble it least."""

    def __init__(self):
        super().__init__()
        self.factor = nn.Parameter(torch.zeros(1))

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[N, D, h, w] of maps of this shape."""
        cells = maps.flatten(2).contiguous()  # [N, D, places]
        taken = scaled_dot_product_attention(-cells, cells, cells, scale=1.0)
        return self.factor * taken.reshape(maps.shape) + maps


class DualAttention(nn.Module):
    """Both, joined: their sum, or one after the other along the channels."""

    def __init__(self, channels: int, join: Join = "sum"):
        super().__init__()
        self.places, self.channels, self.join = PlaceAttention(channels), ChannelAttention(), join
        self.out_channels = channels if join == "sum" else 2 * channels

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        """[N, out_channels, h, w] of maps [N, D, h, w]."""
        of_channels, of_places = self.channels(maps), self.places(maps)
        if self.join == "sum":
            return of_channels + of_places
        return torch.cat([of_channels, of_places], 1)
