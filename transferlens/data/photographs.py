"""Photographs of any size and mode as networks take them: the central square, normalised."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps

from transferlens.core import job
from transferlens.core.errors import DataError
from transferlens.data import augmentation
from transferlens.data.folder import entries
from transferlens.data.plain_text import require_printable
from transferlens.data.splits import picture_in


def squares(
    folder: Path, resolution: int, crop_ratio: float, shuffled_by: np.random.Generator | None = None
) -> Iterator[tuple[str, np.ndarray]]:
    """(file name, uint8[resolution, resolution, 3]) of every image of a folder.

    In the order of names, unless they are shuffled. What is no readable image, or has a name that no line can
    show, is left out with a warning.

    Raises:
        DataError: no such folder, or no image in it.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; name one with images")
    paths, empty = sorted(file for file in map(Path, entries(folder)) if not file.is_dir()), True
    if shuffled_by is not None:
        paths = [paths[i] for i in shuffled_by.permutation(len(paths))]
    for path in paths:
        try:
            require_printable([path.name], folder)
            with picture_in(path, "image") as image:
                square = central_square(image, resolution, crop_ratio)
        except DataError as error:
            job.log.warning("%s; left out", error)
            continue
        empty = False
        yield path.name, square
    if empty:
        raise DataError(f"{folder}: holds no readable image; put some there (JPEG, PNG, ...)")


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
