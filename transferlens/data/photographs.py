"""Photographs of any size and mode as networks take them: the central square, normalised."""

from collections.abc import Sequence

import numpy as np
import torch
from PIL import Image, ImageOps

from transferlens.data import augmentation


def central_square(image: Image.Image | np.ndarray, resolution: int, crop_ratio: float) -> np.ndarray:
    """The evaluation crop uint8[resolution, resolution, 3] of an image of any size and mode."""
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image = ImageOps.exif_transpose(image).convert("RGB")
    crop = crop_ratio * min(image.size)
    left, top = (image.width - crop) / 2, (image.height - crop) / 2
    box = (left, top, left + crop, top + crop)
    return np.array(image.resize((resolution, resolution), Image.Resampling.BICUBIC, box))


def normalised(pixels: np.ndarray, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """Bytes uint8[n, side, side, 3] as the networks take them: float32[n, 3, side, side]."""
    return augmentation.normalise(torch.from_numpy(pixels), torch.tensor(mean), torch.tensor(std))
