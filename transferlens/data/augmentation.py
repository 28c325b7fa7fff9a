"""Augmentation of whole batches on the device, driven by a seeded CPU generator."""

import math

import torch
from torch.nn import functional

_ENLARGED_AT_ONCE = 256
_RATIO = (3 / 4, 4 / 3)  # aspect ratios of random resized crops, as everywhere


def normalise(images: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """Bytes uint8[N, H, W, 3] to standardised float32[N, 3, H, W] in channels-last memory."""
    n, height, width, _ = images.shape
    contiguous = {"copy": True, "memory_format": torch.contiguous_format}
    # In place and by whole rows: fresh memory for every step, and loops over three channels, take longer
    # than the arithmetic.
    rows = images.to(torch.float32, **contiguous).view(n, height, 3 * width)
    rows.div_(255).sub_(mean.repeat(width)).div_(std.repeat(width))
    return rows.view(images.shape).permute(0, 3, 1, 2)


def enlarge(images: torch.Tensor, side: int) -> torch.Tensor:
    """Bytes uint8[N, h, h, 3] at another side, by bicubic interpolation; the same if they have it."""
    if images.shape[1] == side:
        return images
    return torch.cat([_enlarged(part, side) for part in images.split(_ENLARGED_AT_ONCE)])


def _enlarged(images: torch.Tensor, side: int) -> torch.Tensor:
    maps = images.permute(0, 3, 1, 2).float()
    # With antialiasing torch takes the kernel that is exact for slopes (Keys 1981), as Pillow does.
    larger = functional.interpolate(maps, (side, side), mode="bicubic", align_corners=False, antialias=True)
    return larger.round_().clamp_(0, 255).to(torch.uint8).permute(0, 2, 3, 1).contiguous()


def flip(images: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Mirror each image of [N, 3, H, W] left to right with probability one half."""
    mirrored = (torch.rand(len(images), generator=generator) < 0.5).to(images.device)
    return torch.where(mirrored[:, None, None, None], images.flip(3), images)


def translate(images: torch.Tensor, padding: int, generator: torch.Generator) -> torch.Tensor:
    """Shift each image of uint8[N, H, W, 3] by up to `padding` pixels each way, filling with black."""
    n, height, width, _ = images.shape
    shift = torch.randint(0, 2 * padding + 1, (2, n), generator=generator).to(images.device)
    padded = functional.pad(images, (0, 0, padding, padding, padding, padding))
    windows = padded.unfold(1, height, 1).unfold(2, width, 1)  # [N, shifts, shifts, 3, H, W]
    rows = torch.arange(n, device=images.device)
    return windows[rows, shift[0], shift[1]].permute(0, 2, 3, 1)


def random_resized_crop(
    images: torch.Tensor, resolution: int, scale: tuple[float, float], generator: torch.Generator
) -> torch.Tensor:
    """Random crops of [N, 3, H, W], resized bilinearly to [N, 3, resolution, resolution].

    Area uniform in `scale`, aspect ratio log-uniform in 3/4..4/3, sides cut at the image's.
    """
    n, _, height, width = images.shape
    area, ratio, top, left = torch.rand((4, n), generator=generator)
    area = height * width * (scale[0] + (scale[1] - scale[0]) * area)
    log_low, log_high = math.log(_RATIO[0]), math.log(_RATIO[1])
    ratio = torch.exp(log_low + (log_high - log_low) * ratio)
    crop_w = torch.clamp(torch.sqrt(area * ratio), 1, width) / width  # fractions of the image
    crop_h = torch.clamp(torch.sqrt(area / ratio), 1, height) / height
    # An affine grid spans [-1, 1]: the crop's scale on the diagonal, its centre's offset in the last column.
    grid_map = torch.zeros((n, 2, 3))
    grid_map[:, 0, 0], grid_map[:, 1, 1] = crop_w, crop_h
    grid_map[:, 0, 2] = (2 * left - 1) * (1 - crop_w)
    grid_map[:, 1, 2] = (2 * top - 1) * (1 - crop_h)
    grid = functional.affine_grid(
        grid_map.to(images.device), [n, 3, resolution, resolution], align_corners=False
    )
    return functional.grid_sample(images, grid, padding_mode="border", align_corners=False)
