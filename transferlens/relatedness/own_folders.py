"""Two folders of images as a network sees them: a reference and a target task without any study."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from transferlens.core import job
from transferlens.core.errors import DataError
from transferlens.data import folder as image_folder
from transferlens.data.photographs import central_square, normalised
from transferlens.data.splits import Split
from transferlens.models.network import Network
from transferlens.relatedness.tasks import Task, standardised

_IMAGES_AT_ONCE = 32


class Choice(NamedTuple):
    """Which images of a folder take part.

    Attributes:
        most: of a class in either split.
        test_share: of the images of a class where the folder has no split of its own.
        seed: of both choices.
    """

    most: int
    test_share: float
    seed: int


class Look(NamedTuple):
    """How images enter a network: side in pixels, share of the shorter side, scale of the channels."""

    resolution: int
    crop_ratio: float
    mean: tuple[float, ...]
    std: tuple[float, ...]


@dataclass(frozen=True)
class Folder:
    """Two splits of a folder's images, with the same classes.

    Attributes:
        name: of the folder.
        class_names: of its class folders.
        train, test: of its images.
    """

    name: str
    class_names: list[str]
    train: Split
    test: Split


@dataclass(frozen=True)
class Seen:
    """A folder as a network sees it.

    Attributes:
        name: of the folder.
        classes: how many.
        train, test: features before the head, float64[images, features].
        train_labels, test_labels: int64[images].
    """

    name: str
    classes: int
    train: np.ndarray
    train_labels: np.ndarray
    test: np.ndarray
    test_labels: np.ndarray

    def task(self) -> Task:
        """On its own scale; refuses what is no task, in one line."""
        return standardised(
            self.train, self.train_labels, self.test, self.test_labels, self.classes, name=self.name
        )


def read(root: Path, choice: Choice) -> Folder:
    """The images of `train/<class>/*` and `val/<class>/*`, or of `<class>/*`, divided within each class.

    Raises:
        DataError: no such folder, fewer than two classes, or too few images of one.
    """
    if not root.is_dir():
        raise DataError(
            f"{root}: no such folder; name one with train/<class>/* and val/<class>/*, or <class>/*"
        )
    rng = np.random.default_rng(choice.seed)
    if image_folder.is_image_folder(root):
        found = image_folder.open_folder(root)
        names, splits = found.class_names, (found.train, found.val)
    else:
        names = image_folder.subfolders(root)
        if not names:
            raise DataError(f"{root}: has no class folders; a task needs two or more: <class>/*")
        splits = _divided(image_folder.list_split(root, names), choice.test_share, rng)
    if len(names) < 2:
        raise DataError(f"{root}: has {len(names)} class folders; a task needs two or more")
    for split, which in zip(splits, ("training", "test"), strict=True):
        _check(root, names, split, which)
    return Folder(root.resolve().name, names, *(at_most(split, choice.most, rng) for split in splits))


def _divided(whole: Split, test_share: float, rng: np.random.Generator) -> tuple[Split, Split]:
    """(train, test): a share of the images of each class, at least one, drawn at random."""
    test = np.zeros(len(whole.labels), bool)
    for rows in _by_class(whole.labels, rng):
        test[rows[: max(round(test_share * len(rows)), 1)]] = True
    return whole.part(np.flatnonzero(~test)), whole.part(np.flatnonzero(test))


def at_most(split: Split, most: int, rng: np.random.Generator) -> Split:
    """So many images of each class, drawn at random; all where there are fewer."""
    kept = [rows[:most] for rows in _by_class(split.labels, rng)]
    return split.part(np.sort(np.concatenate(kept)))


def _by_class(labels: np.ndarray, rng: np.random.Generator) -> Iterator[np.ndarray]:
    """Rows of each class that has images, in random order."""
    for label in np.unique(labels):
        yield rng.permutation(np.flatnonzero(labels == label))


def _check(root: Path, names: list[str], split: Split, which: str) -> None:
    counts = np.bincount(split.labels, minlength=len(names))
    if counts.min() == 0:
        raise DataError(
            f"{root}: class '{names[counts.argmin()]}' has no {which} image; add some or remove it"
        )


def see(folder: Folder, network: Network, look: Look) -> Seen:
    """The images of a folder before the network's head, a few in memory at a time."""
    train, test = (
        _features(split, f"{folder.name}, {which} images", network, look)
        for split, which in ((folder.train, "training"), (folder.test, "test"))
    )
    classes = len(folder.class_names)
    return Seen(folder.name, classes, train, folder.train.labels, test, folder.test.labels)


def _features(split: Split, what: str, network: Network, look: Look) -> np.ndarray:
    """float64[images, features]."""
    starts = range(0, len(split.labels), _IMAGES_AT_ONCE)
    device = next(network.parameters()).device
    features = []
    for start in job.progress(starts, what, "batches"):
        rows = range(start, min(start + _IMAGES_AT_ONCE, len(split.labels)))
        squares = [central_square(split.image(i), look.resolution, look.crop_ratio) for i in rows]
        images = normalised(np.stack(squares), look.mean, look.std)
        with torch.inference_mode():
            features.append(network.backbone(images.to(device)).double().cpu().numpy())
    return np.concatenate(features)


def logits_of(features: np.ndarray, network: Network) -> np.ndarray:
    """What the network's own head says of features, float64[images, source classes]."""
    weight, bias = (part.detach().double().cpu().numpy() for part in (network.head.weight, network.head.bias))
    return features @ weight.T + bias
