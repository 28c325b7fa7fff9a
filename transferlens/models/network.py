"""A network as this house knows it: a backbone, a linear head, and where in it things are looked for."""

from dataclasses import dataclass

import torch
from torch import nn

from transferlens.models import grids


@dataclass(frozen=True)
class Parts:
    """Where a network keeps what others look for; `models.contract` finds them.

    Attributes:
        class_map_layer: path in the backbone of the layer whose output class maps are made of: a map or a row
            of tokens (see `grids`). None for a network in which nothing has a height and a width.
        pools: whether features are the means of that output over its cells, perhaps normalised by `norm`, so
            that class maps add up to logits.
        norm: path of the layer normalisation between these means and the features, if there is one.
        rectified: whether the means are those of the output's positive part (a ReLU stands between).
        prefix_tokens: tokens before those of the picture's cells.
        blocks: paths of the blocks in depth order: all that reaches one has passed through the one before.
    """

    class_map_layer: str | None
    pools: bool
    norm: str | None = None
    rectified: bool = False
    prefix_tokens: int = 0
    blocks: tuple[str, ...] = ()


class Network(nn.Module):
    """A backbone that turns images [N, 3, H, W] into features [N, D], and a linear head to logits [N, C]."""

    def __init__(self, backbone: nn.Module, head: nn.Linear, parts: Parts):
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.parts = parts

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits float32[N, C] of images [N, 3, H, W]."""
        return self.head(self.backbone(images))

    @property
    def class_map_layer(self) -> str | None:
        """Path in the backbone of the layer that class maps are made of."""
        return self.parts.class_map_layer

    @property
    def pools(self) -> bool:
        """Whether class maps add up to logits."""
        return self.parts.pools

    @property
    def norm(self) -> nn.LayerNorm | None:
        """The normalisation between pooled maps and features, if there is one."""
        return None if self.parts.norm is None else self.backbone.get_submodule(self.parts.norm)

    def maps_of(self, output: torch.Tensor) -> torch.Tensor:
        """The output of the class map layer as the maps [N, channels, h, w] that are pooled."""
        maps = grids.to_maps(output, self.parts.prefix_tokens)
        return maps.relu() if self.parts.rectified else maps

    def with_head(self, head: nn.Linear) -> "Network":
        """The same backbone under another head."""
        return Network(self.backbone, head, self.parts)
