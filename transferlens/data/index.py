"""The index of a data set: which images are used, their labels, and who may look at them when."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import artefacts
from transferlens.data.artefacts import HALVES, INDEX

SPLITS = ("train", "val")


@dataclass(frozen=True)
class Examples:
    """The used images of a split, in the order of its FFCV file.

    Attributes:
        ids: a name for every image.
        labels: int64[examples].
        halves: int8[examples], index into HALVES (val only; all 0 in train).
        positions: int64[examples], where each image is in the image set's split.
        sizes: int64[examples, 2], height and width in pixels.
        classes: int64[examples], index into the data set's own class names; differs from the labels where
            these are groups of classes.
    """

    ids: list[str]
    labels: np.ndarray
    halves: np.ndarray
    positions: np.ndarray
    sizes: np.ndarray
    classes: np.ndarray

    def __len__(self) -> int:
        return len(self.ids)

    def of_half(self, half: str) -> np.ndarray:
        """Positions int64[n] of the examples of a half."""
        return np.flatnonzero(self.halves == HALVES.index(half))


@dataclass(frozen=True)
class Index:
    """A data set as the workflow uses it.

    Attributes:
        class_names: what labels stand for: the data set's classes, or groups of them.
        class_groups: a coarser name of each ('' when unknown).
        own_classes: the data set's own classes.
    """

    class_names: list[str]
    class_groups: list[str]
    train: Examples
    val: Examples
    own_classes: list[str]

    def split(self, name: str) -> Examples:
        """The examples of `train` or `val`."""
        return {"train": self.train, "val": self.val}[name]


def read_index(path: str | Path) -> Index:
    """Read an index artefact."""
    with artefacts.open(path, INDEX) as file:
        parts = [
            Examples(
                artefacts.names(file[f"{split}_example"]),
                *(file[f"{split}_{n}"][:] for n in ("label", "half", "position", "size", "own_class")),
            )
            for split in SPLITS
        ]
        names = (artefacts.names(file[name]) for name in ("class", "class_group", "own_class"))
        class_names, class_groups, own_classes = names
        return Index(class_names, class_groups, *parts, own_classes)
