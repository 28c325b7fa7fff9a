"""Images in HDF5: groups `train` and `val` (or `test`), each with images and labels.

Images are `images` or `data`, uint8 or floats in [0, 1], shaped [n, height, width, 3], [n, height, width],
[n, height, width, 1], or [n, side * side] (gray). Labels are `labels` or `target`: integers, or strings.
Names of integer labels may stand in a dataset `class_names` beside the groups.
"""

import os
from pathlib import Path

import h5py
import numpy as np

from transferlens.core.errors import DataError
from transferlens.data.splits import ImageSet, Split, image_set, three_channels

_SPLITS = {"train": ("train",), "val": ("val", "test")}
_IMAGES, _LABELS = ("images", "data"), ("labels", "target", "targets")


def class_names(path: Path) -> list[str]:
    """The classes of both splits: given names, or the labels themselves, sorted."""
    with _opened(path) as file:
        return _class_names(path, file, {split: _labels(path, file, split) for split in _SPLITS})


def read(path: Path) -> ImageSet:
    """Read the labels of an HDF5 file; its images are read one by one.

    Raises:
        DataError: not such a file, or groups, images or labels that are missing or do not fit.
    """
    with _opened(path) as file:
        labels = {split: _labels(path, file, split) for split in _SPLITS}
        names = _class_names(path, file, labels)
        places = {name: i for i, name in enumerate(names)}
        splits = []
        for split in _SPLITS:
            group = _group(path, file, split)
            indices = labels[split]
            if "class_names" not in file:
                indices = np.array([places[str(label)] for label in indices], dtype=np.int64)
            name = _child(path, group, _IMAGES).name
            splits.append(_split(path, name, file[name], indices, group.name.strip("/")))
    return image_set(names, *splits)


def _split(path: Path, dataset: str, images: h5py.Dataset, labels: np.ndarray, name: str) -> Split:
    shape = _image_shape(path, images)
    if len(images) != len(labels):
        raise DataError(f"{path}: {dataset} has {len(images)} images but {len(labels)} labels")
    rows = _Rows(path, dataset)

    def image(i: int) -> np.ndarray:
        try:
            pixels = rows[i].reshape(shape)
        except (OSError, KeyError) as error:
            raise DataError(f"{path}{dataset} (image {i}): cannot be read ({error})") from error
        return three_channels(_bytes(path, dataset, i, pixels))

    return Split([f"{name}/{i}" for i in range(len(labels))], labels.astype(np.int64), image)


class _Rows:
    """Rows of a dataset, through a handle of each process's own: HDF5 handles do not survive a fork."""

    def __init__(self, path: Path, dataset: str):
        self.path, self.dataset = path, dataset
        self.process, self.opened = None, None

    def __getitem__(self, i: int) -> np.ndarray:
        if self.process != os.getpid():
            self.opened = h5py.File(self.path, "r")[self.dataset]
            self.process = os.getpid()
        return self.opened[i]


def _image_shape(path: Path, images: h5py.Dataset) -> tuple[int, ...]:
    """The shape of one image: [height, width] for gray, else [height, width, 3]."""
    shape = images.shape[1:]
    kind = images.dtype
    if kind == np.uint8 or kind.kind == "f":
        if len(shape) == 3 and shape[2] == 3:
            return shape
        if len(shape) == 2 or (len(shape) == 3 and shape[2] == 1):
            return shape[:2]
        if len(shape) == 1 and (side := round(shape[0] ** 0.5)) ** 2 == shape[0]:
            return (side, side)
    raise DataError(
        f"{path}{images.name}: images are {kind} of shape {images.shape}; they must be uint8, or floats in "
        "[0, 1], shaped [n, height, width, 3], [n, height, width] or [n, side * side]"
    )


def _bytes(path: Path, dataset: str, i: int, pixels: np.ndarray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if not (pixels.min() >= 0 and pixels.max() <= 1):  # also refuses NaN
        raise DataError(
            f"{path}{dataset} (image {i}): pixels from {pixels.min():g} to {pixels.max():g}; floating-point "
            "images must be in [0, 1]"
        )
    return (pixels * 255).round().astype(np.uint8)


def _labels(path: Path, file: h5py.File, split: str) -> np.ndarray:
    """int64[n], or str[n]."""
    dataset = _child(path, _group(path, file, split), _LABELS)
    if h5py.check_string_dtype(dataset.dtype):
        return dataset.asstr()[:].astype(str)
    labels = dataset[:]
    if labels.ndim != 1 or (labels != np.floor(labels)).any():
        raise DataError(f"{path}{dataset.name}: labels must be one integer or one string an image")
    return labels.astype(np.int64)


def _class_names(path: Path, file: h5py.File, labels: dict[str, np.ndarray]) -> list[str]:
    every = np.concatenate(list(labels.values()))
    if "class_names" in file:
        names = list(file["class_names"].asstr()[:])
        if every.dtype.kind != "i" or every.min() < 0 or every.max() >= len(names):
            raise DataError(f"{path}: labels must be 0 to {len(names) - 1}, places in class_names")
        return names
    return [str(label) for label in np.unique(every)]


def _group(path: Path, file: h5py.File, split: str) -> h5py.Group:
    for name in _SPLITS[split]:
        if isinstance(file.get(name), h5py.Group):
            return file[name]
    raise DataError(f"{path}: has no group {' or '.join(_SPLITS[split])}; it has {sorted(file)}")


def _child(path: Path, group: h5py.Group, names: tuple[str, ...]) -> h5py.Dataset:
    for name in names:
        if isinstance(group.get(name), h5py.Dataset):
            return group[name]
    raise DataError(f"{path}{group.name}: has no {' or '.join(names)}; it has {sorted(group)}")


def _opened(path: Path) -> h5py.File:
    try:
        return h5py.File(path, "r")
    except OSError as error:
        raise DataError(f"{path}: cannot be read as HDF5 ({str(error).splitlines()[0]})") from error
