"""The search for patches ("concepts"): where groups of channels, ordered by a class, are most active.

With f [D, h, w] the map of an image of class c, and W the rows of the head,

    s = m W_c - (W_a + W_b + ...)      the m = min(3, C - 1) classes that c is most taken for

scores the channels. Sorted by s, nine groups of them (the first tells c from its rivals best, the last says
little of them) are summed to nine maps, and a patch lies about the peak of each.

Caveat: as published, a patch is centred on the *corner* of the peak's cell (its first row and column), so
that all lie half a cell too far up and left.

Source: Yang et al., ICCV 2023. Sizes are theirs at D = 2048 channels and 224 px, scaled to D and any side.
"""

from dataclasses import dataclass

import torch
from torchvision.ops import roi_align

PATCHES = 9
RIVALS = 3
_CHANNELS, _STRIDE, _WIDTH = 2048, 250, 30  # of the published network, and its groups
_HALF = 1 / 7  # half a patch, as a share of the input's side: 32 of 224


@dataclass(frozen=True)
class Found:
    """What the search gives of N images.

    Attributes:
        boxes: float32[N, 9, 4], (left, top, right, bottom) in pixels, inside the image.
        confusing: int64[N, n], the classes that each is most taken for, but its own, the worst first.
    """

    boxes: torch.Tensor
    confusing: torch.Tensor


@torch.no_grad()
def search(
    maps: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor, weight: torch.Tensor, n: int, side: int
) -> Found:
    """Patches of images, and the classes they are most taken for.

    Args:
        maps: [N, D, h, w].
        logits: [N, C].
        labels: int64[N].
        weight: [C, D], of the head.
        n: classes wanted, at most C - 1.
        side: of the images, in pixels.
    """
    confusing = confusers(logits, labels, n)
    rivals = confusers(logits, labels, min(RIVALS, logits.shape[1] - 1))
    scores = rivals.shape[1] * weight[labels] - weight[rivals].sum(1)
    return Found(boxes(peaks(maps, scores), maps.shape[2:], side), confusing)


def confusers(logits: torch.Tensor, labels: torch.Tensor, n: int) -> torch.Tensor:
    """int64[N, n]: the classes of the highest logits [N, C] beside the labels [N], in descending order.

    Raises:
        ValueError: more than there are.
    """
    if n > logits.shape[1] - 1:
        raise ValueError(f"{n} classes beside an image's own were asked for, of {logits.shape[1] - 1}")
    return logits.scatter(1, labels[:, None], -torch.inf).topk(n, dim=1).indices


def groups(channels: int) -> torch.Tensor:
    """int64[9, width]: the ranks of the channels of each group.

    Raises:
        ValueError: fewer channels than groups.
    """
    if channels < PATCHES:
        raise ValueError(f"{channels} channels make no {PATCHES} groups")
    stride, width = _STRIDE * channels // _CHANNELS, max(1, _WIDTH * channels // _CHANNELS)
    return torch.arange(PATCHES)[:, None] * stride + torch.arange(width)


def peaks(maps: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
    """int64[N, 9]: the cell where the sum of each group of maps [N, D, h, w] by scores [N, D] is largest."""
    order = scores.argsort(dim=1, descending=True)
    chosen = order[:, groups(maps.shape[1]).to(order.device)]  # [N, 9, width]
    member = maps.new_zeros(len(maps), PATCHES, maps.shape[1]).scatter_(2, chosen, 1)
    return (member @ maps.flatten(2)).argmax(2)


def boxes(cells: torch.Tensor, shape: tuple[int, int], side: int) -> torch.Tensor:
    """float32[..., 4]: squares about the corners of cells of a map of a shape, cut to the image."""
    height, width = shape
    row, column = cells // width, cells % width
    centre = torch.stack([column * side / width, row * side / height], -1)
    half = side * _HALF
    return torch.cat([centre - half, centre + half], -1).clamp(0, side)


def patch_pixels(side: int) -> int:
    """Side at which patches pass through the network: 2/7 of the image's, as a multiple of 8."""
    return max(8, 8 * round(2 * _HALF * side / 8))


def cut(images: torch.Tensor, boxes: torch.Tensor, pixels: int, scale: float = 1.0) -> torch.Tensor:
    """Patches [N, 9, channels, pixels, pixels] of images [N, channels, H, W], enlarged to one size.

    Args:
        boxes: [N, 9, 4].
        scale: sides of `images` as a share of those that boxes are given in.
    """
    of = torch.arange(len(images), device=images.device).repeat_interleave(boxes.shape[1])
    places = torch.cat([of[:, None].to(boxes.dtype), boxes.flatten(0, 1)], 1).to(images.dtype)
    patches = roi_align(images, places, (pixels, pixels), scale, aligned=True)
    return patches.unflatten(0, boxes.shape[:2])
