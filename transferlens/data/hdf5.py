"""Images in HDF5: groups `train` and `val` (or `test`), each with images and labels.

Images are `images` or `data`, uint8 or floats in [0, 1], shaped [n, height, width, 3], [n, height, width],
[n, height, width, 1], or [n, side * side] (gray). Labels are `labels` or `target`: integers, or strings.
Names of integer labels may stand in a dataset `class_names` beside the groups.

A file says how much it holds before it holds it: nothing is read before that is compared with what is there.
"""

import math
import os
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import files
from transferlens.core.errors import DataError
from transferlens.data.splits import ImageSet, Split, image_set, three_channels

_SPLITS = {"train": ("train",), "val": ("val", "test")}
_IMAGES, _LABELS = ("images", "data"), ("labels", "target", "targets")
_MOST_LABEL_BYTES = 2 << 30
_MOST_SECONDS = 60  # of a core, to read strings of any length: millions take a few
_MOST_PIXELS = 178_956_970  # of an image; where Pillow takes an image file for a bomb
# What h5py raises on damaged files, on types that NumPy has not, and on text that is not UTF-8.
_BROKEN = (OSError, RuntimeError, LookupError, ValueError, TypeError)


def class_names(path: Path) -> list[str]:
    """The classes of both splits: given names, or the labels themselves, sorted."""
    with _opened(path) as file:
        return _class_names(path, file, {split: _labels(path, file, split) for split in _SPLITS})


def read(path: Path) -> ImageSet:
    """Read the labels of an HDF5 file; its images are read one by one.

    Raises:
        DataError: not such a file; groups, images or labels that are missing, do not fit, lie in other files,
            or are larger than what is stored of them.
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
            images = _child(path, group, _IMAGES)
            splits.append(_split(path, images.name, images, indices, group.name.strip("/")))
    return image_set(names, *splits)


def _split(path: Path, dataset: str, images: h5py.Dataset, labels: np.ndarray, name: str) -> Split:
    shape = _image_shape(path, images)
    if len(images) != len(labels):
        raise DataError(f"{path}: {dataset} has {len(images)} images but {len(labels)} labels")
    rows = _Rows(path, dataset)

    def image(i: int) -> np.ndarray:
        try:
            pixels = rows[i].reshape(shape)
        except _BROKEN as error:
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
    if (kind == np.uint8 or kind.kind == "f") and 0 < math.prod(shape) <= 3 * _MOST_PIXELS:
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
    """int64[n], or names as objects [n]."""
    dataset = _child(path, _group(path, file, split), _LABELS)
    if h5py.check_string_dtype(dataset.dtype):
        return np.array(_strings(path, dataset), dtype=object)
    if len(dataset.shape) == 1 and dataset.dtype.kind in "biuf":
        given = _whole(path, dataset)
        with np.errstate(invalid="ignore"):  # of what is no number, or too large, another number is made
            labels = given.astype(np.int64)
        if (labels == given).all():
            return labels
    raise DataError(f"{path}{dataset.name}: labels must be one integer or one string an image")


def _class_names(path: Path, file: h5py.File, labels: dict[str, np.ndarray]) -> list[str]:
    every = np.concatenate(list(labels.values()))
    if "class_names" in file:
        names = _strings(path, _child(path, file, ("class_names",)))
        if every.dtype.kind != "i" or ((every < 0) | (every >= len(names))).any():
            raise DataError(f"{path}: labels must be 0 to {len(names) - 1}, places in class_names")
        return names
    if every.dtype.kind == "i":
        return [str(label) for label in np.unique(every)]
    return sorted({str(label) for label in every})


def _strings(path: Path, dataset: h5py.Dataset) -> list[str]:
    """A list of names."""
    if not h5py.check_string_dtype(dataset.dtype) or len(dataset.shape) != 1:
        raise DataError(f"{path}{dataset.name}: must be a list of names, but is {dataset.dtype}")
    if h5py.check_string_dtype(dataset.dtype).length is None:
        _require_an_end(path, dataset.name)
    return [text.decode() if isinstance(text, bytes) else text for text in _whole(path, dataset)]


def _require_an_end(path: Path, dataset: str) -> None:
    """Refuse strings that HDF5 would read for ever, as it does in some damaged files: a process of its own
    tries, which the system ends, as nothing interrupts HDF5.
    """
    process = os.fork()
    if not process:
        resource.setrlimit(resource.RLIMIT_CPU, (_MOST_SECONDS, _MOST_SECONDS))
        try:
            with h5py.File(path, "r") as file:
                file[dataset][:]
        finally:
            os._exit(0)  # an error is told by who reads them next
    if os.WIFSIGNALED(os.waitpid(process, 0)[1]):
        raise DataError(f"{path}{dataset}: its strings are damaged and cannot be read; write it anew")


def _whole(path: Path, dataset: h5py.Dataset) -> np.ndarray:
    """A dataset as one array, unless it is larger than labels are."""
    declared = dataset.size * dataset.dtype.itemsize
    if declared > _MOST_LABEL_BYTES:
        raise DataError(
            f"{path}{dataset.name}: declares {dataset.size:,} entries ({declared / 1e9:.1f} GB), more than "
            "labels or names of classes take; write it anew"
        )
    return dataset[:]


def _group(path: Path, file: h5py.File, split: str) -> h5py.Group:
    for name in _SPLITS[split]:
        if isinstance(_member(path, file, name), h5py.Group):
            return file[name]
    raise DataError(f"{path}: has no group {' or '.join(_SPLITS[split])}; it has {sorted(file)}")


def _child(path: Path, group: h5py.Group, names: tuple[str, ...]) -> h5py.Dataset:
    for name in names:
        if isinstance(found := _member(path, group, name), h5py.Dataset):
            _require_stored(path, found)
            return found
    raise DataError(f"{path}{group.name}: has no {' or '.join(names)}; it has {sorted(group)}")


def _member(path: Path, group: h5py.Group, name: str) -> h5py.Group | h5py.Dataset | None:
    """What a group has by a name; a link to another file is refused, as whatever is there would be opened."""
    if isinstance(group.get(name, getlink=True), h5py.ExternalLink):
        raise DataError(f"{path}: {name} is a link to another file; store the images in {path.name} itself")
    return group.get(name)


def _require_stored(path: Path, dataset: h5py.Dataset) -> None:
    """Refuse values that lie in other files, or were never written: both would be read as zeros."""
    if dataset.shape is None or not dataset.shape:
        raise DataError(f"{path}{dataset.name}: is no array; it must have an entry for every image")
    if dataset.is_virtual or dataset.external:
        raise DataError(
            f"{path}{dataset.name}: its values lie in other files; store them in {path.name} itself"
        )
    written, all_of_it = _written(dataset)
    if written < all_of_it:
        raise DataError(
            f"{path}{dataset.name}: declares shape {dataset.shape}, but {written:,} of {all_of_it:,} "
            f"{'chunks' if dataset.chunks else 'bytes'} were written; write it anew"
        )


def _written(dataset: h5py.Dataset) -> tuple[int, int]:
    """(What is stored, what is declared): in chunks, or in bytes where there are none."""
    if dataset.chunks is None:
        return dataset.id.get_storage_size(), dataset.size * dataset.dtype.itemsize
    parts = (-(-side // chunk) for side, chunk in zip(dataset.shape, dataset.chunks, strict=True))
    return dataset.id.get_num_chunks(), math.prod(parts)


@contextmanager
def _opened(path: Path) -> Iterator[h5py.File]:
    """The file; whatever h5py cannot read in the block is one error that names it."""
    try:
        with h5py.File(files.plain(path), "r") as file:
            yield file
    except _BROKEN as error:
        raise DataError(
            f"{path}: cannot be read as HDF5 ({files.first_line(error)}); fetch or write it again"
        ) from error
