"""Augmentation of whole batches on the device, driven by a seeded CPU generator."""

import math

import torch
from torch.nn import functional

_ENLARGED_AT_ONCE = 256
_JITTERED = 0.8  # chance of an image's colours to change
# Luminance and two colour differences of red, green and blue (the analogue television standard's).
_YIQ = ((0.299, 0.587, 0.114), (0.5959, -0.2746, -0.3213), (0.2115, -0.5227, 0.3112))
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
    return mirror(images, torch.rand(len(images), generator=generator) < 0.5)


def mirror(images: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Mirror the images of [N, 3, H, W] left to right that are chosen, bool[N]."""
    return torch.where(chosen.to(images.device)[:, None, None, None], images.flip(3), images)


def translate(images: torch.Tensor, padding: int, generator: torch.Generator) -> torch.Tensor:
    """Shift each image of uint8[N, H, W, 3] by up to `padding` pixels each way, filling with black."""
    return shift(images, padding, torch.randint(0, 2 * padding + 1, (2, len(images)), generator=generator))


def shift(images: torch.Tensor, padding: int, corners: torch.Tensor) -> torch.Tensor:
    """Cut images of uint8[N, H, W, 3] out of themselves with `padding` black pixels all around.

    Args:
        corners: int64[2, N], row and column of the upper left pixel, each in 0..2 padding.
    """
    n, height, width, _ = images.shape
    top, left = corners.to(images.device)
    padded = functional.pad(images, (0, 0, padding, padding, padding, padding))
    windows = padded.unfold(1, height, 1).unfold(2, width, 1)  # [N, shifts, shifts, 3, H, W]
    rows = torch.arange(n, device=images.device)
    return windows[rows, top, left].permute(0, 2, 3, 1)


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


def jitter_colours(images: torch.Tensor, strength: float, generator: torch.Generator) -> torch.Tensor:
    """Change the colours of [N, 3, H, W] in [0, 1] at random, of each image in its own way, with chance 0.8.

    Brightness, contrast and saturation are multiplied by factors uniform in 1 +- 0.8 strength, hues turned by
    an angle uniform in +-0.2 strength of a circle, in this order; values are kept in [0, 1]. After Chen et
    al. (2020), appendix A, who draw the order; hues are turned in the YIQ space, linearly.
    """
    draws = torch.rand((5, len(images), 1, 1, 1), generator=generator).to(images.device)
    brightness, contrast, saturation = 1 + 0.8 * strength * (2 * draws[:3] - 1)
    changed = (images * brightness).clamp(0, 1)
    changed = blend(gray(changed).mean((2, 3), keepdim=True), changed, contrast)
    changed = blend(gray(changed), changed, saturation)
    changed = turn_hues(changed, 0.2 * strength * (2 * draws[3] - 1))
    return torch.where(draws[4] < _JITTERED, changed, images)


def lose_colours(images: torch.Tensor, chance: float, generator: torch.Generator) -> torch.Tensor:
    """Make each image of [N, 3, H, W] gray with this chance."""
    chosen = (torch.rand((len(images), 1, 1, 1), generator=generator) < chance).to(images.device)
    return torch.where(chosen, gray(images), images)


def gray(images: torch.Tensor) -> torch.Tensor:
    """The luminance [N, 1, H, W] of [N, 3, H, W]."""
    return (images * images.new_tensor(_YIQ[0])[:, None, None]).sum(1, keepdim=True)


def blend(one: torch.Tensor, other: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The point between two images in [0, 1], or beyond the other where the weight is above one."""
    return (one + weight * (other - one)).clamp(0, 1)


def turn_hues(images: torch.Tensor, turn: torch.Tensor) -> torch.Tensor:
    """Rotate the colours of [N, 3, H, W] about the axis of grays, by [N, 1, 1, 1] of a circle."""
    to_yiq = images.new_tensor(_YIQ)
    cos, sin = (part(2 * math.pi * turn.view(-1)) for part in (torch.cos, torch.sin))
    rotation = torch.zeros((len(images), 3, 3), device=images.device, dtype=images.dtype)
    rotation[:, 0, 0] = 1
    rotation[:, 1, 1] = rotation[:, 2, 2] = cos
    rotation[:, 1, 2], rotation[:, 2, 1] = -sin, sin
    of_colours = torch.linalg.inv(to_yiq) @ rotation @ to_yiq
    return torch.einsum("nij,njhw->nihw", of_colours, images).clamp(0, 1)
