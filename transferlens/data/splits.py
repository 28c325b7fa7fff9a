"""Image sets as readers hand them over: labelled images in two splits, and how pixels are decoded."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from transferlens.core import files
from transferlens.core.errors import DataError
from transferlens.data.plain_text import require_printable

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


@dataclass(frozen=True)
class Split:
    """One split of an image set.

    Attributes:
        ids: a name for every image, unique in the data set.
        labels: int64[images], indices into the set's class names.
        image: the pixels of image i, uint8[height, width, 3]; raises DataError if it cannot be decoded.
        file: the path of image i; None where images are no files of their own.
    """

    ids: Sequence[str]
    labels: np.ndarray
    image: Callable[[int], np.ndarray]
    file: Callable[[int], str] | None = None

    def part(self, rows: np.ndarray) -> "Split":
        """Some of its images in this order; `rows` are their positions, int64[n]."""
        file = self.file and (lambda i: self.file(rows[i]))
        return Split([self.ids[i] for i in rows], self.labels[rows], lambda i: self.image(rows[i]), file)


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
    """An image set whose classes have no groups (yet); refuses labels that cannot be stored."""
    require_printable(labels, "classes")
    return ImageSet(list(labels), [""] * len(labels), train, val)


def file_split(root: Path, ids: list[str], labels: Sequence[int], name: str) -> Split:
    """A split of image files: `ids` are their paths below `root`, `name` says which split in errors.

    Raises:
        DataError: a path that cannot be stored or shown in one line.
    """
    require_printable(ids, root)

    def file(i: int) -> str:
        return os.path.join(root, ids[i])

    def image(i: int) -> np.ndarray:
        return decode(file(i), f"image {i} of {name}")

    return Split(ids, np.asarray(labels, dtype=np.int64), image, file)


def array_split(images: np.ndarray, labels: Sequence[int], name: str) -> Split:
    """A split of decoded images uint8[images, height, width] (gray) or uint8[images, height, width, 3]."""
    if not images.size:
        raise DataError(f"{name}: images are of shape {images.shape}, so there are none; fetch the set again")
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
        DataError: the file cannot be decoded, is empty or no file, or holds floating-point pixels.
    """
    with picture_in(file, which) as picture:
        if picture.mode == "RGB":  # converting would copy it
            return np.asarray(picture)
        if picture.mode == "F":
            raise ValueError("32-bit floating-point pixels have no fixed range; store 8 or 16 bits")
        if picture.mode.startswith("I"):  # Pillow would clip 16 bits of gray to 8
            return three_channels(_eight_bits(np.asarray(picture)))
        return np.asarray(picture.convert("RGB"))


@contextmanager
def picture_in(file: str | Path, which: str) -> Iterator[Image.Image]:
    """An image file, opened; whatever fails in the block is one error that names the file.

    Raises:
        DataError: see `decode`.
    """
    try:
        files.plain(file)
        with open(file, "rb") as stream, Image.open(stream) as picture:
            if not all(picture.size):
                raise ValueError("{} x {} pixels".format(*picture.size))
            yield picture
    except Exception as error:  # Pillow's decoders raise all kinds of errors on damaged files
        raise DataError(f"{file} ({which}): cannot be decoded ({_reason(file, error)})") from error


def _eight_bits(gray: np.ndarray) -> np.ndarray:
    """Gray levels 0..65535 as uint8; images that only use 0..255 were stored wider than they are."""
    gray = gray.astype(np.int64).clip(0, 65535)
    return (gray // 257 if gray.max() > 255 else gray).astype(np.uint8)


def _reason(file: str | Path, error: Exception) -> str:
    if os.path.isfile(file) and not os.path.getsize(file):
        return "the file is empty"
    return files.first_line(error)
