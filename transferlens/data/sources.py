"""Image sets by name: labelled images with fixed splits, before anything is chosen from them."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from transferlens.config import DatasetSettings
from transferlens.data.groups import read_groups
from transferlens.errors import DataError, nearest


@dataclass(frozen=True)
class Split:
    """One split of an image set.

    Attributes:
        ids: a name for every image, unique in the data set.
        labels: int64[images], indices into the set's class names.
        image: the pixels of image i, uint8[height, width, 3]; raises DataError if it cannot be decoded.
    """

    ids: list[str]
    labels: np.ndarray
    image: Callable[[int], np.ndarray]


@dataclass(frozen=True)
class ImageSet:
    """A labelled image collection.

    Attributes:
        class_names: one name a class; two sets share a class when they share its name.
        class_groups: one coarser name a class ('' when unknown).
        train, val: the two splits.
    """

    class_names: list[str]
    class_groups: list[str]
    train: Split
    val: Split


@dataclass(frozen=True)
class Registered:
    """An image set the project knows: its classes and their groups, and how to open it (only then is
    it read).
    """

    class_names: list[str]
    class_groups: list[str]
    open: Callable[[Path, bool], ImageSet]


def registry() -> dict[str, Registered]:
    """The image sets known by name."""
    from transferlens.data import digits

    both = digits.DIGITS + digits.CLOTHES
    return {
        "digits-and-clothes": Registered(both, digits.GROUPS, digits.open_digits_and_clothes),
        "optdigits": Registered(digits.DIGITS, digits.GROUPS[:10], digits.open_optdigits),
    }


def open_image_set(name: str, settings: DatasetSettings, data_root: Path, download: bool) -> ImageSet:
    """Open the image set `name`: an image folder if it has a path, else a registered one.

    Raises:
        DataError: unknown name, missing folder, or raw data that is neither present nor downloadable.
        ConfigError: a table of groups that does not fit the classes.
    """
    if settings.path is not None:
        from transferlens.data import folder

        images = folder.open_folder(Path(settings.path))
    else:
        images = _registered(name).open(data_root, download)
    if settings.groups is not None:
        groups = read_groups(settings.groups, images.class_names)
        images = replace(images, class_groups=groups)
    return images


def describe(name: str, path: str | None, groups: str | None = None) -> tuple[list[str], list[str]]:
    """The classes of an image set and their groups ('' when unknown), without reading any image."""
    if path is not None:
        from transferlens.data import folder

        names = folder.class_names(Path(path))
        own = [""] * len(names)
    else:
        names, own = _registered(name).class_names, _registered(name).class_groups
    return names, read_groups(groups, names) if groups else own


def _registered(name: str) -> Registered:
    known = registry()
    if name not in known:
        raise DataError(
            f"unknown data set '{name}'"
            + nearest(name, list(known))
            + f"; for an image folder set datasets.{name}.path"
        )
    return known[name]
