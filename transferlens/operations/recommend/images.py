"""The folders of a user as data sets of a study: divided once, and listed in tables; no image is copied."""

import csv
import os
import re
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

import numpy as np

from transferlens.core.errors import DataError
from transferlens.core.files import replace_file
from transferlens.core.settings import DatasetSettings
from transferlens.data import folder as image_folder
from transferlens.data import sources
from transferlens.data.catalogue import CATALOGUE
from transferlens.data.splits import Split
from transferlens.operations.datasets import Data
from transferlens.relatedness import own_folders
from transferlens.relatedness.own_folders import Choice, Folder

# Stands for "another task" where the user names none.
DIGITS = "optdigits"
# Of a task that is to be kept: images of a class in either split, at most, and about so many in all.
MOST_KEPT, _KEPT_IN_ALL = 50, 2000
# A class needs two images that trials train on and two that they are told on; and one in either half.
_FEWEST_TRAIN, _FEWEST_TEST = 4, 2
_ANY_NUMBER = 10**9


class Task(NamedTuple):
    """A data set of the study.

    Attributes:
        name: in the configuration.
        root: what the ids of its images are relative to; None for images that come with a package.
        folder: its images, divided.
    """

    name: str
    root: Path | None
    folder: Folder

    @property
    def data(self) -> Data:
        """Its size."""
        train, test = len(self.folder.train.labels), len(self.folder.test.labels)
        return Data(train, test, len(self.folder.class_names), "its folder")


def read_target(root: Path, test_share: float, seed: int) -> Task:
    """The user's own task, with all of its images.

    Raises:
        DataError: no such folder, fewer than two classes, or too few images of one.
    """
    task = _read(root, Choice(_ANY_NUMBER, test_share, seed), [])
    _check(root, task.folder)
    return task


def read_kept(roots: list[Path], test_share: float, seed: int, taken: str) -> list[Task]:
    """Tasks that should not be forgotten; handwritten digits where none is named.

    Args:
        taken: the name of the target.
    """
    if not roots:
        images = sources.open_image_set(DIGITS, DatasetSettings(), Path("data"), download=False)
        whole = Folder(DIGITS, images.class_names, images.train, images.val)
        return [Task(DIGITS, None, _smaller(whole, seed))]
    tasks: list[Task] = []
    for root in roots:
        names = [taken, *(task.name for task in tasks)]
        task = _read(root, Choice(_ANY_NUMBER, test_share, seed), names)
        _check(root, task.folder)
        tasks.append(task._replace(folder=_smaller(task.folder, seed)))
    return tasks


def _read(root: Path, choice: Choice, taken: Collection[str]) -> Task:
    folder = own_folders.read(root, choice)
    base = root if image_folder.is_image_folder(root) else root.parent
    return Task(_named(folder.name, taken), base.resolve(), folder)


def _named(folder: str, taken: Collection[str]) -> str:
    """A folder's name as that of a data set: neither a registered one nor another's."""
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", folder).strip("-_") or "images"
    name = f"own-{plain}" if plain in CATALOGUE else plain
    while name in taken:
        name += "-2"
    return name


def _smaller(folder: Folder, seed: int) -> Folder:
    most = int(np.clip(_KEPT_IN_ALL // len(folder.class_names), _FEWEST_TRAIN, MOST_KEPT))
    rng = np.random.default_rng(seed)
    parts = (own_folders.at_most(split, most, rng) for split in (folder.train, folder.test))
    return Folder(folder.name, folder.class_names, *parts)


def _check(root: Path, folder: Folder) -> None:
    """Refuse a class that leaves no held-out part, or nothing to report on."""
    for split, which, needed in (
        (folder.train, "training", _FEWEST_TRAIN),
        (folder.test, "test", _FEWEST_TEST),
    ):
        counts = np.bincount(split.labels, minlength=len(folder.class_names))
        if counts.min() < needed:
            raise DataError(
                f"{root}: class '{folder.class_names[counts.argmin()]}' has {counts.min()} {which} images, "
                f"and {needed} are needed ({'two are held out' if which == 'training' else 'one a half'}); "
                "add some or remove it"
            )


def write_table(path: Path, task: Task) -> None:
    """The images of a task as a table that a study reads (`path`, `label`, `split`)."""
    with replace_file(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(("path", "label", "split"))
        for split, name in ((task.folder.train, "train"), (task.folder.test, "val")):
            out.writerows(_rows(path.parent.resolve(), task, split, name))


def _rows(place: Path, task: Task, split: Split, name: str) -> list[tuple[str, str, str]]:
    names = task.folder.class_names
    return [
        (os.path.relpath(task.root / image, place), names[label], name)
        for image, label in zip(split.ids, split.labels, strict=True)
    ]
