"""Pictures of a unit over the steps of an adaptation: one tile for each network that was kept.

There are two kinds of strips. An activation strip shows one image under the unit's map of it; all tiles of
the unit, of all its images, are coloured on one scale, so that they can be compared. A field strip shows what
the unit looks at: the receptive fields of its peaks in the images that move it most, averaged with the peaks
as weights.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from transferlens.pictures import figures

TILE = 96  # pixels a side
COLOURS = "viridis"  # equal steps of the map are equal steps to the eye
_IMAGE_WEIGHT = 0.4  # of the grey image below the colours
_BACKGROUND = 236  # of a tile that shows nothing: light grey


@dataclass(frozen=True)
class Scale:
    """The values that the ends of the colours stand for: one pair for all steps and images of a unit."""

    low: float
    high: float

    def relative(self, values: np.ndarray) -> np.ndarray:
        """Values as parts of the scale, 0 to 1; 0 on a scale without length."""
        return ((values - self.low) / ((self.high - self.low) or 1)).clip(0, 1)


def scale_of(maps: np.ndarray) -> Scale:
    """From the least to the largest value of maps float[..., h, w] of a unit, and 0."""
    return Scale(min(0.0, float(maps.min())), max(0.0, float(maps.max())))


def activation_tiles(image: np.ndarray, maps: np.ndarray, scale: Scale) -> np.ndarray:
    """An image under a unit's map of it at every step, uint8[T, TILE, TILE, 3].

    Args:
        image: uint8[side, side, 3].
        maps: float[T, h, w].
    """
    grey = _resized(image, (TILE, TILE)).mean(2, keepdims=True)
    values = torch.from_numpy(np.ascontiguousarray(maps, np.float32))[:, None]
    large = functional.interpolate(values, size=(TILE, TILE), mode="bilinear", align_corners=False)
    colours = figures.colours(COLOURS)(scale.relative(large[:, 0].numpy()))[..., :3]
    return _bytes(_IMAGE_WEIGHT * grey + (1 - _IMAGE_WEIGHT) * 255 * colours)


def field_average(
    images: np.ndarray, boxes: np.ndarray, weights: np.ndarray, size: tuple[int, int]
) -> np.ndarray:
    """The weighted mean of crops of images, float64[h, w, 3], 0 to 255.

    Weights below 0 count as 0; if none is above, all crops weigh the same.

    Args:
        images: uint8[n, side, side, 3].
        boxes: int[n, 4]: top, bottom, left, right, the ends open.
        weights: float[n].
        size: (h, w) that all crops are brought to: that of the smallest one of a strip.
    """
    crops = [
        _resized(image[top:bottom, left:right], size)
        for image, (top, bottom, left, right) in zip(images, boxes, strict=True)
    ]
    weights = weights.clip(min=0).astype(np.float64)
    return np.average(crops, axis=0, weights=weights if weights.sum() > 0 else None)


def smallest_crop(boxes: np.ndarray) -> tuple[int, int]:
    """The smallest height and the smallest width of boxes int[n, 4]."""
    return int((boxes[..., 1] - boxes[..., 0]).min()), int((boxes[..., 3] - boxes[..., 2]).min())


def field_tile(average: np.ndarray | None) -> np.ndarray:
    """A mean of crops [h, w, 3] as large as a tile uint8[TILE, TILE, 3] holds; None gives an empty one."""
    tile = np.full((TILE, TILE, 3), _BACKGROUND, np.uint8)
    if average is None:
        return tile
    height, width = (max(1, round(TILE * side / max(average.shape[:2]))) for side in average.shape[:2])
    top, left = (TILE - height) // 2, (TILE - width) // 2
    tile[top : top + height, left : left + width] = _bytes(_resized(average, (height, width)))
    return tile


def _resized(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """An image [h, w, 3] in another size (height, width), float64; means of pixels where it gets smaller."""
    if image.shape[:2] == size:
        return image.astype(np.float64)
    channels = torch.from_numpy(image.astype(np.float64)).permute(2, 0, 1)[None]
    large = functional.interpolate(channels, size, mode="bilinear", align_corners=False, antialias=True)
    return large[0].permute(1, 2, 0).numpy()


def _bytes(image: np.ndarray) -> np.ndarray:
    return image.round().clip(0, 255).astype(np.uint8)
