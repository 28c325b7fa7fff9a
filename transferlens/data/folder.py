"""Image folders: `train/<class>/*` and `val/<class>/*`."""

from pathlib import Path

import numpy as np
from PIL import Image

from transferlens.data.sources import ImageSet, Split
from transferlens.errors import DataError

_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm"}


def class_names(root: Path) -> list[str]:
    """The class folders below `root/train`, sorted.

    Raises:
        DataError: no such folder, or no class in it.
    """
    train = root / "train"
    if not train.is_dir():
        raise DataError(f"{train}: no such folder; an image folder has train/<class>/* and val/<class>/*")
    names = sorted(entry.name for entry in train.iterdir() if entry.is_dir())
    if not names:
        raise DataError(f"{train}: has no class folders; expected train/<class>/*")
    return names


def open_folder(root: Path) -> ImageSet:
    """Read the file lists of an image folder.

    Raises:
        DataError: a missing folder, or a class folder in `val` that `train` does not have.
    """
    names = class_names(root)
    if (root / "val").is_dir():
        for entry in sorted((root / "val").iterdir()):
            if entry.is_dir() and entry.name not in names:
                raise DataError(f"{entry}: class '{entry.name}' is not in {root / 'train'}")
    return ImageSet(names, [""] * len(names), _split(root / "train", names), _split(root / "val", names))


def _split(folder: Path, names: list[str]) -> Split:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; an image folder has train/<class>/* and val/<class>/*")
    files, labels = [], []
    for label, name in enumerate(names):
        found = sorted(p for p in (folder / name).glob("*") if p.suffix.lower() in _SUFFIXES)
        files += found
        labels += [label] * len(found)

    def image(i: int) -> np.ndarray:
        try:
            with Image.open(files[i]) as picture:
                if picture.mode.startswith("I"):  # Pillow would clip 16 bits of gray to 8
                    gray = np.asarray(picture).astype(np.int64).clip(0, 65535)
                    return np.repeat(
                        (gray // 257 if gray.max() > 255 else gray).astype(np.uint8)[..., None], 3, 2
                    )
                return np.asarray(picture.convert("RGB"))
        except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
            raise DataError(
                f"{files[i]} (image {i} of {folder.name}): cannot be decoded ({error})"
            ) from error

    ids = [str(p.relative_to(folder.parent)) for p in files]
    return Split(ids, np.array(labels, dtype=np.int64), image)
