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


def inside_share(
    positive: torch.Tensor, x: torch.Tensor, y: torch.Tensor, side: torch.Tensor | int, resolution: int
) -> torch.Tensor:
    """Share [n] of maps' sums that lies inside squares, the maps enlarged to the input's resolution.

    Enlarging is linear: how much of each cell's value ends in a range of pixels is known for rows and columns
    beforehand, and no enlarged map is made. NaN for a map of zeros.

    Args:
        positive: [n, h, w], maps without negative values.
        x, y, side: int64[n], the squares in pixels of the input.
    """
    sums = []
    for starts, cells in ((y, positive.shape[1]), (x, positive.shape[2])):
        spread = _enlarged(cells, resolution).to(positive)
        pixels = torch.arange(resolution, device=starts.device)
        inside = (pixels >= starts[:, None]) & (pixels < (starts + side)[:, None])
        sums.append((inside.to(positive) @ spread, spread.sum(0)))
    (rows, all_rows), (columns, all_columns) = sums
    within = torch.einsum("nhw,nh,nw->n", positive, rows, columns)
    return within / torch.einsum("nhw,h,w->n", positive, all_rows, all_columns)


def _enlarged(cells: int, pixels: int) -> torch.Tensor:
    """float32[pixels, cells]: a line of cells, bilinearly enlarged, is this times it."""
    lines = torch.eye(cells)[:, None]
    return functional.interpolate(lines, size=pixels, mode="linear", align_corners=False)[:, 0].T
