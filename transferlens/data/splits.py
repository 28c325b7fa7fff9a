"""Image sets as readers hand them over: labelled images in two splits, and how pixels are decoded."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from transferlens.core.errors import DataError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


@dataclass(frozen=True)
class Split:
    """One split of an image set.

    Attributes:
        ids: a name for every image, unique in the data set.
        labels: int64[images], indices into the set's class names.
        image: the pixels of image i, uint8[height, width, 3]; raises DataError if it cannot be decoded.
    """

    ids: Sequence[str]
    labels: np.ndarray
    image: Callable[[int], np.ndarray]


@dataclass(frozen=True)
class ImageSet:
    """A labelled image collection.

    Attributes:
        class_names: one name a class; two sets share a class when they share its name. Readers give the
            labels as they find them; `classnames.named` makes names of them.
        class_groups: one coarser name a class ('' when unknown).
        train, val: the two splits.
    """

    class_names: list[str]
    class_groups: list[str]
    train: Split
    val: Split


def image_set(labels: Sequence[str], train: Split, val: Split) -> ImageSet:
    """An image set whose classes have no groups (yet)."""
    return ImageSet(list(labels), [""] * len(labels), train, val)


def file_split(root: Path, ids: list[str], labels: Sequence[int], name: str) -> Split:
    """A split of image files: `ids` are their paths below `root`, `name` says which split in errors."""

    def image(i: int) -> np.ndarray:
        return decode(os.path.join(root, ids[i]), f"image {i} of {name}")

    return Split(ids, np.asarray(labels, dtype=np.int64), image)


def array_split(images: np.ndarray, labels: Sequence[int], name: str) -> Split:
    """A split of decoded images uint8[images, height, width] (gray) or uint8[images, height, width, 3]."""
    ids = [f"{name}/{i}" for i in range(len(images))]
    return Split(ids, np.asarray(labels, dtype=np.int64), lambda i: three_channels(images[i]))


def three_channels(pixels: np.ndarray) -> np.ndarray:
    """Gray uint8[height, width] repeated to uint8[height, width, 3]; colour as it is."""
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def decode(file: str | Path, which: str) -> np.ndarray:
    """The pixels of an image file, uint8[height, width, 3].

    Gray, palette and CMYK images become RGB, transparency is dropped, 16 bits a channel become 8, and of
    an animation the first frame counts. The orientation that a camera noted is not applied.

    Raises:
        DataError: the file cannot be decoded, is empty, or holds floating-point pixels.
    """
    try:
        with open(file, "rb") as stream, Image.open(stream) as picture:
            if picture.mode == "RGB":  # converting would copy it
                return np.asarray(picture)
            if picture.mode == "F":
                raise ValueError("32-bit floating-point pixels have no fixed range; store 8 or 16 bits")
            if picture.mode.startswith("I"):  # Pillow would clip 16 bits of gray to 8
                return three_channels(_eight_bits(np.asarray(picture)))
            return np.asarray(picture.convert("RGB"))
    except Exception as error:  # Pillow's decoders raise all kinds of errors on damaged files
        raise DataError(f"{file} ({which}): cannot be decoded ({_reason(file, error)})") from error


def _eight_bits(gray: np.ndarray) -> np.ndarray:
    """Gray levels 0..65535 as uint8; images that only use 0..255 were stored wider than they are."""
    gray = gray.astype(np.int64).clip(0, 65535)
    return (gray // 257 if gray.max() > 255 else gray).astype(np.uint8)


def _reason(file: str | Path, error: Exception) -> str:
    try:
        if os.path.getsize(file) == 0:
            return "the file is empty"
    except OSError:
        pass
    return str(error).splitlines()[0] if str(error) else type(error).__name__
