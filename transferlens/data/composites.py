"""Composites: an image pasted on another, opaque and with a hard edge; and where the paste lies."""

import numpy as np
import torch
from torch.nn import functional


def box_side(share: float, resolution: int) -> int:
    """Side of the pasted image in pixels, for a share of the network input's side."""
    return max(1, round(share * resolution))


def places(
    count: int, box: int, resolution: int, placement: str, rng: np.random.Generator, first: int = 0
) -> np.ndarray:
    """Left and top edge int64[count, 2] of each pasted image, always whole inside the background.

    Args:
        placement: `random`, or `grid`: the nine places of a 3 x 3 grid in turn, from number `first` on.
    """
    free = resolution - box
    if placement == "random":
        return rng.integers(0, free + 1, (count, 2))
    turn = np.arange(first, first + count) % 9
    return np.rint(np.stack([turn % 3, turn // 3], axis=1) * free / 2).astype(np.int64)


def resized(images: torch.Tensor, side: int) -> torch.Tensor:
    """Images [N, 3, H, W] at another side, bilinear with anti-aliasing; the same if they have it."""
    if images.shape[-1] == side and images.shape[-2] == side:
        return images
    return functional.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)


def paste(backgrounds: torch.Tensor, overlays: torch.Tensor, corners: np.ndarray, box: int) -> torch.Tensor:
    """Overlays [N, 3, h, w], shrunk to `box` pixels a side, on backgrounds [N, 3, H, W] at int64[N, 2]."""
    composites = backgrounds.clone()
    for i, (overlay, (x, y)) in enumerate(zip(resized(overlays, box), corners, strict=True)):
        composites[i, :, y : y + box, x : x + box] = overlay
    return composites


def box_cover(corners: np.ndarray, box: int, resolution: int, cells: tuple[int, int]) -> torch.Tensor:
    """Share of each cell of a map that lies inside the pasted image, float32[N, h, w].

    A map drawn over the image by nearest neighbours would have that share of the cell's pixels in the box.
    """
    inside = []
    for axis, count in ((1, cells[0]), (0, cells[1])):
        edges = np.linspace(0, resolution, count + 1)
        start = corners[:, axis, None]
        overlap = np.minimum(edges[1:], start + box) - np.maximum(edges[:-1], start)
        inside.append(np.clip(overlap, 0, None) / np.diff(edges))
    return torch.from_numpy(inside[0][:, :, None] * inside[1][:, None, :]).float()


def inside_share(evidence: torch.Tensor, cover: torch.Tensor) -> torch.Tensor:
    """Share [N] of the positive evidence [N, h, w] that lies inside the box; 0 where there is none."""
    positive = evidence.clamp(min=0)
    whole = positive.sum((1, 2))
    return (positive * cover).sum((1, 2)) / whole.clamp(min=torch.finfo(whole.dtype).tiny)
