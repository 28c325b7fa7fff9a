"""Making the index of a data set: images chosen, decoded once, labelled, and divided into halves."""

import os
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np

from transferlens.core import artefacts, job
from transferlens.core.errors import DataError
from transferlens.core.seeding import rng_for
from transferlens.core.settings import DatasetSettings
from transferlens.data.artefacts import HALVES, INDEX
from transferlens.data.groups import require_groups
from transferlens.data.index import SPLITS, Examples, Index
from transferlens.data.repeats import digest, refuse_one_file_twice, warn_of_same_pixels
from transferlens.data.selection import at_most
from transferlens.data.splits import ImageSet, Split

_IMAGES_QUEUED = 4096  # at a time, as every image in the queue of a thread pool takes memory
_LEAST_SIDE = 2  # in pixels; of one pixel, a centre crop takes none
# Of a split: the images, their positions int64[examples], and their heights and widths int64[examples, 2].
Chosen = tuple[Split, np.ndarray, np.ndarray]


def make_index(name: str, images: ImageSet, settings: DatasetSettings, seed: int) -> tuple[Index, list[str]]:
    """Choose, check and divide the images of a data set.

    Every chosen image is decoded once here, so that a broken one is met before any training; a warning tells
    of images that are in both splits. The val examples of every class are divided at random into a half that
    may be looked at (select) and one that is only reported on (report).

    Returns:
        The index, and the ids of images left out because they cannot be decoded (policy `skip`).

    Raises:
        DataError: a broken image (policy `error`), a class without images in a split or a half, fewer than
            two classes, or a file in two splits.
    """
    chosen: dict[str, Chosen] = {}
    skipped: list[str] = []
    limits = {
        "train": (settings.train_per_class, settings.train_share),
        "val": (settings.val_per_class, None),
    }
    for split_name in SPLITS:
        split = getattr(images, split_name)
        per_class, share = limits[split_name]
        positions = at_most(split.labels, per_class, rng_for(seed, name, split_name), share)
        chosen[split_name] = (split, positions, np.zeros((len(positions), 2), np.int64))
    _require_every_class(name, _labelled(name, images, settings, chosen, seed))  # before hours of decoding
    refuse_one_file_twice(name, *(split.part(positions) for split, positions, _ in chosen.values()))
    digests: dict[str, np.ndarray] = {}
    for split_name in SPLITS:
        split, positions, _ = chosen[split_name]
        sizes, seen, broken = _decode_all(name, split_name, split, positions)
        if broken and settings.unreadable == "error":
            raise DataError(
                f"data set {name}: {next(iter(broken.values()))}; repair or remove it, or set "
                f"datasets.{name}.unreadable: skip"
            )
        skipped += [split.ids[p] for p in broken]
        keep = np.array([p not in broken for p in positions], dtype=bool)
        chosen[split_name], digests[split_name] = (split, positions[keep], sizes[keep]), seen[keep]
    index = _labelled(name, images, settings, chosen, seed)
    _require_every_class(name, index, len(skipped))
    warn_of_same_pixels(name, index.train.ids, digests["train"], index.val.ids, digests["val"])
    return index, skipped


def _labelled(
    name: str, images: ImageSet, settings: DatasetSettings, chosen: dict[str, Chosen], seed: int
) -> Index:
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


def _decode_all(
    name: str, split_name: str, split: Split, positions: np.ndarray
) -> tuple[np.ndarray, np.ndarray, dict[int, DataError]]:
    """Height and width of every image, int64[images, 2], its digest, int64[images], and, by position, the
    errors of those that cannot be decoded.
    """

    def look(position: int) -> tuple[int, int, int] | DataError:
        try:
            pixels = split.image(position)
        except DataError as error:
            return error
        height, width = pixels.shape[:2]
        if min(height, width) < _LEAST_SIDE:
            return DataError(f"'{split.ids[position]}' has {width} x {height} pixels, too few for a crop")
        return height, width, digest(pixels)

    seen, broken = np.zeros((len(positions), 3), np.int64), {}
    with ThreadPoolExecutor(int(os.environ.get("OMP_NUM_THREADS", 1))) as threads:
        starts = range(0, len(positions), _IMAGES_QUEUED)
        decoded = chain.from_iterable(threads.map(look, positions[s : s + _IMAGES_QUEUED]) for s in starts)
        for i, result in enumerate(
            job.progress(decoded, f"check {name}/{split_name}", "images", len(positions))
        ):
            if isinstance(result, DataError):
                broken[int(positions[i])] = result
            else:
                seen[i] = result
    return seen[:, :2], seen[:, 2], broken


def _halves(name: str, split_name: str, chosen: Chosen, select_fraction: float, seed: int) -> np.ndarray:
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
) -> Examples:
    ids, classes = [split.ids[p] for p in positions], split.labels[positions]
    return Examples(ids, label_of[classes], halves, positions, sizes, classes)


def _require_every_class(name: str, index: Index, left_out: int = 0) -> None:
    """Refuse what is no task: fewer than two classes, or one without images (perhaps they were left out)."""
    if len(index.class_names) < 2:
        found = f"only the class '{index.class_names[0]}'" if index.class_names else "no images"
        raise DataError(f"data set {name}: has {found}; a task has two classes or more, so add some")
    parts = {"train": index.train.labels}
    for h, half in enumerate(HALVES):
        parts[f"val ({half} half)"] = index.val.labels[index.val.halves == h]
    for part, labels in parts.items():
        missing = np.setdiff1d(np.arange(len(index.class_names)), labels)
        if len(missing):
            raise DataError(
                f"data set {name}: class '{index.class_names[missing[0]]}' has no images in {part}"
                + (f" but undecodable ones ({left_out} were left out)" if left_out else "")
                + "; add images or remove the class"
            )


def write_index(path: Path, name: str, index: Index, skipped: list[str]) -> None:
    """Store the index of the data set `name`, with the ids of images that were left out."""
    with artefacts.create(path, INDEX) as out:
        out.attribute("data_set", name)
        out.write("class", index.class_names)
        out.write("class_group", index.class_groups)
        out.write("own_class", index.own_classes)
        out.write("skipped", skipped)
        for split in SPLITS:
            examples = index.split(split)
            for column, values in (
                ("example", examples.ids),
                ("label", examples.labels),
                ("position", examples.positions),
                ("size", examples.sizes),
                ("half", examples.halves),
                ("own_class", examples.classes),
            ):
                out.write(f"{split}_{column}", values)
