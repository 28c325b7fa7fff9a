"""The publishers' own layouts on disk, of sets whose split torchvision does not know.

A layout is found by a file or folder that only it has. Where publishers give no split, the rule is fixed
here and stated in the catalogue: it never depends on a seed.
"""

import csv
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core.errors import DataError
from transferlens.core.files import first_line
from transferlens.data.folder import images_in, subfolders
from transferlens.data.splits import ImageSet, Split, file_split, image_set

_EVERY = 5  # of classes without an official split, every fifth image is for evaluation


@dataclass(frozen=True)
class Layout:
    """How a set lies on disk.

    Attributes:
        folders: where the publishers' archive or torchvision puts it, below a data root.
        markers: files or folders, one of which tells that it is there.
        read: reads it.
    """

    folders: tuple[str, ...]
    markers: tuple[str, ...]
    read: Callable[[Path], ImageSet]


def find(name: str, root: Path, own: bool) -> Path | None:
    """The folder below `root` (or `root` itself, if it is the set's own) in its publishers' layout."""
    layout = LAYOUTS.get(name)
    if layout is None:
        return None
    places = [root] * own + [root / folder for folder in layout.folders]
    return next((p for p in places if any((p / marker).exists() for marker in layout.markers)), None)


def read(name: str, folder: Path) -> ImageSet:
    """Read a set from the folder that `find` found.

    Raises:
        DataError: a list of the publishers' that is missing, cut off, or does not fit.
    """
    try:
        return LAYOUTS[name].read(folder)
    except (LookupError, ValueError, StopIteration, OSError, csv.Error) as error:
        raise DataError(
            f"{folder}: not a complete copy of {name}, a list is missing or damaged ({first_line(error)}); "
            "delete it and fetch it again"
        ) from error


def _divided(root: Path, names: list[str], belongs_to_train: Callable[[int, str], bool]) -> ImageSet:
    """Class folders directly below `root`, each divided by a rule on (place in the class, file name)."""
    parts: dict[bool, tuple[list[str], list[int]]] = {True: ([], []), False: ([], [])}
    for label, name in enumerate(names):
        for i, file in enumerate(images_in(root / name)):
            files, labels = parts[belongs_to_train(i, file)]
            files.append(f"{name}/{file}")
            labels.append(label)
    train, val = (file_split(root, *parts[side], split) for side, split in ((True, "train"), (False, "val")))
    return image_set(names, train, val)


def _first_of_each_class(count: int, dropped: tuple[str, ...] = ()) -> Callable[[Path], ImageSet]:
    def read(root: Path) -> ImageSet:
        names = [name for name in subfolders(root) if name not in dropped]
        return _divided(root, names, lambda i, _: i < count)

    return read


def _every_fifth_for_evaluation(root: Path) -> ImageSet:
    return _divided(root, subfolders(root), lambda i, _: i % _EVERY != _EVERY - 1)


def _cats_vs_dogs(root: Path) -> ImageSet:
    """Files are numbered in each class; numbers, unlike places, do not shift when one is missing."""
    return _divided(root, ["Cat", "Dog"], lambda _, file: int(re.sub(r"\D", "", file) or 0) % _EVERY != 0)


def _tiny_imagenet(root: Path) -> ImageSet:
    """`train/<wnid>/images/*`, and `val/images/*` with their labels in val_annotations.txt."""
    names = subfolders(root / "train")
    train = [(f"train/{n}/images/{f}", n) for n in names for f in images_in(root / "train" / n / "images")]
    rows = [line.split("\t") for line in _lines(root / "val/val_annotations.txt")]
    val = [(f"val/images/{row[0]}", row[1]) for row in rows]
    return image_set(names, _labelled(root, train, names, "train"), _labelled(root, val, names, "val"))


def _cub(root: Path) -> ImageSet:
    """Lists of `<image number> <value>`; the split's value is 1 for training."""
    classes = _numbered(root / "classes.txt")
    files, labels, train = (
        _numbered(root / f"{file}.txt") for file in ("images", "image_class_labels", "train_test_split")
    )
    if not files.keys() == labels.keys() == train.keys():
        raise DataError(f"{root}: images.txt, image_class_labels.txt and train_test_split.txt do not agree")
    pairs = {"1": [], "0": []}
    for number, file in files.items():
        pairs[train[number]].append((f"images/{file}", classes[labels[number]]))
    names = list(classes.values())
    return image_set(
        names, _labelled(root, pairs["1"], names, "train"), _labelled(root, pairs["0"], names, "val")
    )


def _sun397(root: Path) -> ImageSet:
    """Lists of `/<letter>/<class>/<file>`, in the images' folder or beside it."""
    names = [line.removeprefix("/") for line in _lines(root / "ClassName.txt")]
    parts = {}
    for split, file in (("train", "Training_01.txt"), ("val", "Testing_01.txt")):
        paths = [line.removeprefix("/") for line in _lines(_sun397_list(root, file))]
        parts[split] = _labelled(root, [(p, p.rpartition("/")[0]) for p in paths], names, split)
    return image_set([name.partition("/")[2] for name in names], parts["train"], parts["val"])


def _sun397_list(root: Path, file: str) -> Path:
    for folder in (root, root / "Partitions", root.parent, root.parent / "Partitions"):
        if (folder / file).is_file():
            return folder / file
    raise DataError(
        f"{root / file}: no such file; the split of SUN397 comes in Partitions.zip, beside the images at "
        "https://vision.princeton.edu/projects/2010/SUN/: unpack it there"
    )


def _chestxray14(root: Path) -> ImageSet:
    """All images of the official patient-wise lists, by whether pneumothorax is among their findings."""
    names = ["no pneumothorax", "pneumothorax"]
    with next(root.glob(f"{_CHEST_TABLE}*.csv")).open(newline="", encoding="utf-8-sig") as file:
        label_of = {
            row["Image Index"]: names["Pneumothorax" in row["Finding Labels"].split("|")]
            for row in csv.DictReader(file)
        }
    folder_of = {image: folder for folder in _chest_folders(root) for image in images_in(root / folder)}
    parts = {}
    for split, file in (("train", "train_val_list.txt"), ("val", "test_list.txt")):
        pairs = []
        for image in _lines(root / file):
            if image not in label_of or image not in folder_of:
                raise DataError(
                    f"{root / file}: lists {image}, which has no "
                    + ("row in Data_Entry_2017" if image not in label_of else "image in images*/")
                    + "; the copy is incomplete, fetch it again"
                )
            pairs.append((f"{folder_of[image]}/{image}", label_of[image]))
        parts[split] = _labelled(root, pairs, names, split)
    return image_set(names, parts["train"], parts["val"])


def _chest_folders(root: Path) -> list[str]:
    """`images`, or `images_001/images` to `images_012/images`."""
    folders = [name for name in subfolders(root) if name.startswith("images")]
    return [f"{name}/images" if (root / name / "images").is_dir() else name for name in folders]


def _labelled(root: Path, pairs: Iterable[tuple[str, str]], names: list[str], split: str) -> Split:
    """A split of (path below root, class name) pairs."""
    place = {name: i for i, name in enumerate(names)}
    files, labels = [], []
    for file, name in pairs:
        if name not in place:
            raise DataError(f"{root / file}: its class '{name}' is not among the {len(names)} of the set")
        files.append(file)
        labels.append(place[name])
    return file_split(root, files, np.array(labels, dtype=np.int64), split)


def _numbered(path: Path) -> dict[str, str]:
    """Lines of `<number> <value>`."""
    return dict(line.split(" ", 1) for line in _lines(path))


def _lines(path: Path) -> list[str]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise DataError(f"{path}: no such file, so the copy is incomplete; fetch it again") from error
    return [line.strip() for line in lines if line.strip()]


_CHEST_TABLE = "Data_Entry_2017"
LAYOUTS = {
    "tiny-imagenet-200": Layout(("tiny-imagenet-200",), ("val/val_annotations.txt",), _tiny_imagenet),
    "cub-200": Layout(("CUB_200_2011",), ("image_class_labels.txt",), _cub),
    "caltech101": Layout(
        ("101_ObjectCategories", "caltech101/101_ObjectCategories", "caltech-101/101_ObjectCategories"),
        ("Faces_easy",),
        _first_of_each_class(30, ("BACKGROUND_Google",)),
    ),
    "caltech256": Layout(
        ("256_ObjectCategories", "caltech256/256_ObjectCategories"),
        ("257.clutter",),
        _first_of_each_class(60),
    ),
    "sun397": Layout(("SUN397",), ("ClassName.txt",), _sun397),
    "scene15": Layout(("15-Scene",), ("kitchen", "00"), _first_of_each_class(100)),
    "awa2": Layout(
        ("JPEGImages", "Animals_with_Attributes2/JPEGImages"), ("antelope",), _every_fifth_for_evaluation
    ),
    "cats-vs-dogs": Layout(("PetImages",), ("Cat",), _cats_vs_dogs),
    "chestxray14": Layout(("ChestXray-NIHCC", "ChestX-ray14"), ("train_val_list.txt",), _chestxray14),
}
