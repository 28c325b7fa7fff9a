"""Image sets by name: opened, named and checked."""

import argparse
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core.errors import DataError, nearest
from transferlens.core.settings import DatasetSettings
from transferlens.data import classnames, digits, places
from transferlens.data.catalogue import CATALOGUE
from transferlens.data.groups import read_groups
from transferlens.data.plain_text import require_printable
from transferlens.data.selection import restricted
from transferlens.data.splits import ImageSet

ARCHIVE_LIMIT_GB = 500.0
_BUILT_IN = {
    "digits-and-clothes": (digits.DIGITS + digits.CLOTHES, digits.GROUPS, digits.open_digits_and_clothes),
    "optdigits": (digits.DIGITS, digits.GROUPS[: len(digits.DIGITS)], digits.open_optdigits),
}


def open_image_set(
    name: str,
    settings: DatasetSettings,
    data_root: Path,
    download: bool,
    complete: bool = True,
    archive_limit_gb: float = ARCHIVE_LIMIT_GB,
) -> ImageSet:
    """Open the image set `name`, which may unpack it into the data root or download it there.

    Args:
        name: a registered name, or any other if the settings have a path.
        settings: the path and the groups of the set.
        data_root: where raw data lies.
        download: whether torchvision may download it.
        complete: whether a registered set must have all images that its publishers state.
        archive_limit_gb: gigabytes that an archive may hold.

    Raises:
        DataError: unknown name, no such data, or data that are incomplete or another version.
        ConfigError: a table of groups that does not fit the classes.
    """
    check_name(name, settings.path)
    if settings.path is None and name in _BUILT_IN:
        images = _BUILT_IN[name][2](data_root, download)
    else:
        found = places.fetch(name, settings.path, data_root, download, archive_limit_gb)
        images = classnames.named(name, found.open(), found.where)
        _check_classes(name, images, found.where)
        if complete:
            _check_counts(name, images, found.where)
    if settings.groups is not None:
        images = replace(images, class_groups=read_groups(settings.groups, images.class_names))
    return restricted(name, images, settings.classes)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments of scripts that open image sets."""
    parser.add_argument("--data-root", type=Path, required=True)
    parser.add_argument("--download", action="store_true")
    parser.add_argument("--incomplete", action="store_true", help="accept a part of a registered set")
    parser.add_argument("--archive-limit-gb", type=float, default=ARCHIVE_LIMIT_GB)


def arguments_of(parsed: argparse.Namespace) -> dict[str, Any]:
    """What these arguments mean to `open_image_set`."""
    return {
        "data_root": parsed.data_root,
        "download": parsed.download,
        "complete": not parsed.incomplete,
        "archive_limit_gb": parsed.archive_limit_gb,
    }


def check_name(name: str, path: str | None) -> None:
    """Refuse a name that is neither registered nor has a path, and a path where nothing is.

    Raises:
        DataError: naming the nearest registered name, or the path.
    """
    if path is not None and not (os.path.isdir(path) or os.path.isfile(path)):
        kind = "a pipe, socket or device, no" if os.path.exists(path) else "no such"
        raise DataError(f"{path}: {kind} folder or file; it is datasets.{name}.path")
    if path is None and name not in CATALOGUE:
        raise DataError(
            f"unknown data set '{name}'"
            + nearest(name, list(CATALOGUE))
            + f"; for images of your own set datasets.{name}.path"
        )


def describe(
    name: str, path: str | None = None, groups: str | None = None, data_root: Path = Path("data")
) -> tuple[list[str], list[str]]:
    """The classes of an image set and their groups ('' when unknown), without reading any image.

    Where names are neither known beforehand nor found on disk, a set of known size gets numbered
    placeholders, so that a study can be planned before its data are there.

    Raises:
        DataError: unknown name, missing path, or a set of which not even the number of classes is known.
    """
    check_name(name, path)
    if path is None and name in _BUILT_IN:
        names, own = _BUILT_IN[name][:2]
    elif classes := classnames.known(name):
        names, own = classes.names, classes.groups
    else:
        labels = places.labels_on_disk(name, path, data_root)
        require_printable(labels or [], path or data_root)
        names = [classnames.readable(label) for label in labels or _placeholders(name, data_root)]
        own = [""] * len(names)
    return names, read_groups(groups, names) if groups else own


def _placeholders(name: str, data_root: Path) -> list[str]:
    classes = CATALOGUE[name].classes
    if classes is None:
        raise places.nowhere(name, data_root, "its classes differ between releases and must be read")
    return [f"class {i + 1}, named once {name} is in {data_root}" for i in range(classes)]


def _check_classes(name: str, images: ImageSet, where: Path) -> None:
    """Refuse a number of classes other than the published one, and classes without images."""
    expected = CATALOGUE[name].classes if name in CATALOGUE else None
    count = len(images.class_names)
    if expected is not None and count != expected:
        raise DataError(
            f"data set {name}: {where} has {count} classes, the published set has {expected}; it is "
            "half-downloaded or another version: fetch it again"
        )
    for split_name in ("train", "val"):
        labels = getattr(images, split_name).labels
        counts = np.bincount(labels, minlength=count)
        if not counts.all():
            empty = images.class_names[int(counts.argmin())]
            raise DataError(
                f"data set {name}: class '{empty}' has no images in {split_name} ({where}); add images or "
                "remove the class"
            )


def _check_counts(name: str, images: ImageSet, where: Path) -> None:
    facts = CATALOGUE.get(name)
    if facts is None:
        return
    for kind, split, expected in (
        ("training", images.train, facts.train_images),
        ("evaluation", images.val, facts.val_images),
    ):
        if expected is not None and len(split.ids) != expected:
            raise DataError(
                f"data set {name}: {where} has {len(split.ids):,} {kind} images, the published set has "
                f"{expected:,}; fetch it again, or set datasets.{name}.complete: false to use what is there"
            )
