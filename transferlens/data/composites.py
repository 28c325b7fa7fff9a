"""Composites: an image pasted on another, opaque and with a hard edge; and where the paste lies."""

import numpy as np
import torch
from torch.nn import functional


def pasted_side(resolution: int, share: float) -> int:
    """Side of the pasted image in pixels."""
    return round(share * resolution)


def places(count: int, room: int, placement: str, rng: np.random.Generator, first: int = 0) -> np.ndarray:
    """Left and upper edge of each pasted image, int64[count, 2], from 0 to `room`: always whole.

    Args:
        placement: `random`, or `grid`: nine places in turn, beginning with number `first`.
    """
    if placement == "random":
        return np.stack([rng.integers(0, room + 1, count), rng.integers(0, room + 1, count)], axis=1)
    thirds, turn = np.array([0, room // 2, room]), np.arange(first, first + count)
    return np.stack([thirds[turn % 3], thirds[turn // 3 % 3]], axis=1)


def resized(images: torch.Tensor, side: int) -> torch.Tensor:
    """Images [N, 3, H, W] at another side, bilinear with anti-aliasing; the same if they have it."""
    if images.shape[-1] == side and images.shape[-2] == side:
        return images
    return functional.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)


def paste(backgrounds: torch.Tensor, overlays: torch.Tensor, corners: np.ndarray, side: int) -> torch.Tensor:
    """Overlays [N, 3, h, w], shrunk to `side` pixels a side, on backgrounds [N, 3, H, W] at int64[N, 2]."""
    composites = backgrounds.clone()
    x, y = torch.from_numpy(corners).to(backgrounds.device).unbind(1)
    offsets = torch.arange(side, device=backgrounds.device)
    images = torch.arange(len(backgrounds), device=backgrounds.device)[:, None, None]
    rows, columns = (y[:, None] + offsets)[:, :, None], (x[:, None] + offsets)[:, None, :]
    composites.permute(0, 2, 3, 1)[images, rows, columns] = resized(overlays, side).permute(0, 2, 3, 1)
    return composites


def box_cover(corners: np.ndarray, side: int, resolution: int, cells: tuple[int, int]) -> torch.Tensor:
    """Share of each cell of a map that lies inside the pasted image, float32[N, h, w].

    A map drawn over the image by nearest neighbours would have that share of the cell's pixels in the box.
    """
    inside = []
    for axis, count in ((1, cells[0]), (0, cells[1])):
        edges = np.linspace(0, resolution, count + 1)
        start = corners[:, axis, None]
        overlap = np.minimum(edges[1:], start + side) - np.maximum(edges[:-1], start)
        inside.append(np.clip(overlap, 0, None) / np.diff(edges))
    return torch.from_numpy(inside[0][:, :, None] * inside[1][:, None, :]).float()


def inside_share(evidence: torch.Tensor, cover: torch.Tensor) -> torch.Tensor:
    """Share [N] of the positive evidence [N, h, w] that lies inside the box; 0 where there is none."""
    positive = evidence.clamp(min=0)
    whole = positive.sum((1, 2))
    return (positive * cover).sum((1, 2)) / whole.clamp(min=torch.finfo(whole.dtype).tiny)
