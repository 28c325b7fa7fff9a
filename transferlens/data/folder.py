"""Image folders: `train/<class>/*` and `val/<class>/*`."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transferlens.core.errors import DataError
from transferlens.data.splits import SUFFIXES, ImageSet, Split, file_split, image_set

# Other names that publishers give to the two folders; the first that is there counts.
TRAIN = ("train", "Training")
VAL = ("val", "valid", "test", "Test")
_EXPECTED = "an image folder has train/<class>/* and val/<class>/*"


def is_image_folder(root: Path) -> bool:
    """Whether `root` has a folder for one of the splits."""
    return any((root / name).is_dir() for name in (*TRAIN, *VAL))


def class_names(root: Path) -> list[str]:
    """The class folders of the training images, sorted.

    Raises:
        DataError: no such folder, or no class in it.
    """
    train = _split_folder(root, TRAIN)
    names = subfolders(train)
    if not names:
        raise DataError(f"{train}: has no class folders; expected {train.name}/<class>/*")
    return names


def open_folder(root: Path) -> ImageSet:
    """Read the file lists of an image folder; classes are named as their folders.

    Raises:
        DataError: a missing folder, or a class folder of validation images that has no training images.
    """
    names = class_names(root)
    train, val = _split_folder(root, TRAIN), _split_folder(root, VAL)
    for name in subfolders(val):
        if name not in names:
            raise DataError(f"{val / name}: class '{name}' is not in {train}; add images there, or remove it")
    return image_set(names, list_split(train, names), list_split(val, names))


def _split_folder(root: Path, names: tuple[str, ...]) -> Path:
    """The folder of a split, by the first of its names that is there."""
    folder = next((root / name for name in names if (root / name).is_dir()), None)
    if folder:
        return folder
    present = [n for n in (*TRAIN, *VAL) if (root / n).is_dir()]
    only = f" (there is only {present[0]}/)" if present else ""
    raise DataError(f"{root / names[0]}: no such folder{only}; {_EXPECTED}")


def list_split(folder: Path, names: list[str]) -> Split:
    """The images in `folder/<class>`, by class in the order of `names`, then by file name."""
    files, counts = [], []
    for name in names:
        images = images_in(folder / name)
        files += [f"{folder.name}/{name}/{file}" for file in images]
        counts.append(len(images))
    return file_split(folder.parent, files, np.repeat(np.arange(len(names)), counts), folder.name)


def images_in(folder: Path) -> list[str]:
    """Names of the image files directly in a folder, sorted; none if there is no such folder."""
    if not folder.is_dir():
        return []
    return sorted(e.name for e in entries(folder) if e.name.lower().endswith(SUFFIXES))


def subfolders(folder: Path) -> list[str]:
    """Names of the folders in a folder, sorted, without hidden ones."""
    return sorted(e.name for e in entries(folder) if os.path.isdir(e.path))  # False for links in a circle


def entries(folder: Path) -> Iterator[os.DirEntry]:
    """What is in a folder, without hidden files and folders.

    Raises:
        DataError: a folder that cannot be read.
    """
    try:
        with os.scandir(folder) as found:
            yield from (entry for entry in found if _counts(entry.name))
    except OSError as error:
        raise DataError(f"{folder}: cannot be read ({error.strerror}); make it readable") from error


def _counts(name: str) -> bool:
    """Not hidden, and not what macOS adds to archives."""
    return not name.startswith(".") and name != "__MACOSX"
