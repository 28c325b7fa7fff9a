"""The index of a data set: which images are used, their labels, and who may look at them when."""

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np

from transferlens.core import job, store
from transferlens.core.config import DatasetSettings
from transferlens.core.errors import DataError
from transferlens.core.seeding import rng_for
from transferlens.data.groups import require_groups
from transferlens.data.splits import ImageSet, Split

KIND = "dataset index"
SPLITS = ("train", "val")
_IMAGES_QUEUED = 4096  # at a time, as every image in the queue of a thread pool takes memory
HALVES = ("select", "report")


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
        return {"train": self.train, "val": self.val}[name]


def make_index(name: str, images: ImageSet, settings: DatasetSettings, seed: int) -> tuple[Index, list[str]]:
    """Choose, check and divide the images of a data set.

    Every chosen image is decoded once here, so that a broken one is met before any training. The val
    examples of every class are divided at random into a half that may be looked at (select) and one that
    is only reported on (report).

    Returns:
        The index, and the ids of images left out because they cannot be decoded (policy `skip`).

    Raises:
        DataError: a broken image (policy `error`), or a class without images in a split or a half.
    """
    chosen, skipped = {}, []
    limits = {"train": settings.train_per_class, "val": settings.val_per_class}
    for split_name in SPLITS:
        split = getattr(images, split_name)
        positions = _choose(split.labels, limits[split_name], rng_for(seed, name, split_name))
        chosen[split_name] = (split, positions, np.zeros((len(positions), 2), np.int64))
    _require_every_class(name, _labelled(name, images, settings, chosen, seed))  # before hours of decoding
    for split_name in SPLITS:
        split, positions, _ = chosen[split_name]
        sizes, broken = _decode_all(name, split_name, split, positions)
        if broken and settings.unreadable == "error":
            raise DataError(
                f"data set {name}: {next(iter(broken.values()))}; repair or remove it, or set "
                f"datasets.{name}.unreadable: skip"
            )
        skipped += [split.ids[p] for p in broken]
        keep = np.array([p not in broken for p in positions], dtype=bool)
        chosen[split_name] = (split, positions[keep], sizes[keep])
    index = _labelled(name, images, settings, chosen, seed)
    _require_every_class(name, index)
    return index, skipped


def _labelled(name: str, images: ImageSet, settings: DatasetSettings, chosen: dict, seed: int) -> Index:
    """The index of the chosen images, labelled by class or by group of classes."""
    names, groups, label_of = images.class_names, images.class_groups, np.arange(len(images.class_names))
    if settings.labels == "groups":
        names, label_of = _group_labels(name, images)
        groups = [""] * len(names)
    parts = [
        _examples(*chosen[s], label_of, _halves(name, s, chosen[s], settings.select_fraction, seed))
        for s in SPLITS
    ]
    return Index(names, groups, *parts, images.class_names)


def _group_labels(name: str, images: ImageSet) -> tuple[list[str], np.ndarray]:
    """The groups as labels: their names, and the label int64[classes] of every class."""
    require_groups(f"data set {name}", images.class_names, images.class_groups)
    names = sorted(set(images.class_groups))
    return names, np.array([names.index(group) for group in images.class_groups])


def _choose(labels: np.ndarray, per_class: int | None, rng: np.random.Generator) -> np.ndarray:
    """Positions of at most `per_class` random images of every class, ascending."""
    if per_class is None:
        return np.arange(len(labels))
    rows = [rng.permutation(np.flatnonzero(labels == c))[:per_class] for c in np.unique(labels)]
    return np.sort(np.concatenate([np.zeros(0, np.int64), *rows]))


def _decode_all(
    name: str, split_name: str, split: Split, positions: np.ndarray
) -> tuple[np.ndarray, dict[int, DataError]]:
    """Height and width of every image, int64[images, 2], and the errors of those that cannot be decoded."""

    def size(position: int) -> tuple[int, int] | DataError:
        try:
            return split.image(position).shape[:2]
        except DataError as error:
            return error

    sizes, broken = np.zeros((len(positions), 2), np.int64), {}
    with ThreadPoolExecutor(int(os.environ.get("OMP_NUM_THREADS", 1))) as threads:
        starts = range(0, len(positions), _IMAGES_QUEUED)
        found = chain.from_iterable(threads.map(size, positions[s : s + _IMAGES_QUEUED]) for s in starts)
        for i, result in enumerate(
            job.progress(found, f"check {name}/{split_name}", "images", len(positions))
        ):
            if isinstance(result, DataError):
                broken[int(positions[i])] = result
            else:
                sizes[i] = result
    return sizes, broken


def _halves(name: str, split_name: str, chosen, select_fraction: float, seed: int) -> np.ndarray:
    """Divide the val examples of every class at random; training examples are all in the first half."""
    split, positions, _ = chosen
    halves = np.zeros(len(positions), np.int8)
    if split_name == "val":
        labels, rng = split.labels[positions], rng_for(seed, name, "halves")
        for c in np.unique(labels):
            members = rng.permutation(np.flatnonzero(labels == c))
            halves[members[round(len(members) * select_fraction) :]] = HALVES.index("report")
    return halves


def _examples(
    split: Split, positions: np.ndarray, sizes: np.ndarray, label_of: np.ndarray, halves: np.ndarray
):
    ids, classes = [split.ids[p] for p in positions], split.labels[positions]
    return Examples(ids, label_of[classes], halves, positions, sizes, classes)


def _require_every_class(name: str, index: Index) -> None:
    parts = {"train": index.train.labels}
    for h, half in enumerate(HALVES):
        parts[f"val ({half} half)"] = index.val.labels[index.val.halves == h]
    for part, labels in parts.items():
        missing = np.setdiff1d(np.arange(len(index.class_names)), labels)
        if len(missing):
            raise DataError(
                f"data set {name}: class '{index.class_names[missing[0]]}' has no images in {part}; add "
                "images or remove the class"
            )


def write_index(path: Path, index: Index, skipped: list[str], *, config: dict, seed: int) -> None:
    """Store an index as an artefact."""
    with store.create(path, KIND, config=config, seed=seed) as out:
        out.strings("class_names", index.class_names, ["classes"], "name of the class")
        out.strings("class_groups", index.class_groups, ["classes"], "coarser group of the class")
        out.strings("own_classes", index.own_classes, ["own classes"], "class of the data set itself")
        out.strings("skipped", skipped, ["images"], "ids of images that could not be decoded")
        out.attribute("images_skipped", len(skipped))
        for name in SPLITS:
            examples = index.split(name)
            out.strings(f"{name}/ids", examples.ids, ["examples"], "the data set's own example id")
            out.array(f"{name}/labels", examples.labels, ["examples"], "index into class_names")
            out.array(
                f"{name}/positions",
                examples.positions,
                ["examples"],
                "place in the image set's split",
            )
            out.array(
                f"{name}/sizes",
                examples.sizes,
                ["examples", "height and width"],
                "size of the original image",
                "pixels",
            )
            out.array(f"{name}/halves", examples.halves, ["examples"], "0 select, 1 report")
            out.array(f"{name}/classes", examples.classes, ["examples"], "index into own_classes")


def read_index(path: str | Path) -> Index:
    """Read an index artefact."""
    with store.open(path, KIND) as file:
        splits = [
            Examples(
                store.strings(file[f"{s}/ids"]),
                *(file[f"{s}/{name}"][:] for name in ("labels", "halves", "positions", "sizes", "classes")),
            )
            for s in SPLITS
        ]
        names, groups = store.strings(file["class_names"]), store.strings(file["class_groups"])
        return Index(names, groups, *splits, store.strings(file["own_classes"]))
