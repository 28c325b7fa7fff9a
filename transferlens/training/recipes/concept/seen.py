"""What a network makes of images before its head, and of patches of theirs behind it."""

from dataclasses import dataclass

import torch
from torch.nn import functional

from transferlens.models import layers
from transferlens.models.network import Network
from transferlens.training.recipes.concept.patches import cut
from transferlens.training.recipes.concept.slots import features_by_slot
from transferlens.training.recipes.contrastive import unit

_CELLS = 2  # a side, at which a patch of a map is read: a patch of 64 px makes 2 x 2 cells of a stride of 32


@dataclass(frozen=True)
class Seen:
    """What a network makes of N images.

    Attributes:
        features: [N, D], as the head takes them.
        maps: [N, D, h, w].
    """

    features: torch.Tensor
    maps: torch.Tensor


def seen_by(network: Network, images: torch.Tensor) -> Seen:
    """One pass of images [N, 3, H, W] through a network's backbone."""
    layer = network.class_map_layer
    with layers.watch(network.backbone, [layer]) as outputs:
        features = network.backbone(images)
    return Seen(features, network.maps_of(outputs[layer]))


def patches_of_images(
    network: Network, images: torch.Tensor, boxes: torch.Tensor, pixels: int
) -> torch.Tensor:
    """Unit vectors [N, 9, C] of patches [N, 9, 4] of images [N, 3, H, W]; the head is only looked at."""
    return _behind_head(network, features_by_slot(network.backbone, cut(images, boxes, pixels)))


def patches_of_maps(network: Network, maps: torch.Tensor, boxes: torch.Tensor, side: int) -> torch.Tensor:
    """The same of patches of images of a side, by their maps [N, D, h, w]: means over the patches' cells."""
    features = cut(maps.float(), boxes, _CELLS, maps.shape[-1] / side).mean((3, 4))
    return _behind_head(network, features if network.norm is None else network.norm(features))


def _behind_head(network: Network, features: torch.Tensor) -> torch.Tensor:
    """Unit vectors [N, 9, C] of features [N, 9, D], without a gradient of the head."""
    bias = network.head.bias
    logits = functional.linear(
        features, network.head.weight.detach(), None if bias is None else bias.detach()
    )
    return unit(logits.float())
