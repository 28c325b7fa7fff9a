"""Image lists: text files with a line `relative/path label` for every image, one file a split.

Paths are relative to the folder of the lists, or to the one above it. Labels are numbers from 0 on, which
`classes.txt` in one of these folders names, one class a line.
"""

from collections.abc import Iterator
from pathlib import Path

from transferlens.core import files
from transferlens.core.errors import DataError, shown
from transferlens.data import plain_text
from transferlens.data.splits import ImageSet, file_split, image_set

FOLDER = "image_list"
_TRAIN = ("train_100.txt", "train.txt")
_VAL = ("test.txt", "val.txt")
_CLASSES = "classes.txt"
_DIGITS = 9  # of a label, at most


def in_folder(folder: Path) -> Path | None:
    """The list of all training images in a data set's folder, if it has one (`image_list/train_100.txt`)."""
    return _first(folder / FOLDER, _TRAIN)


def class_names(train: Path) -> list[str]:
    """The names of the classes of a list of training images; numbers where nothing names them.

    Raises:
        DataError: also where a label says that there are more classes than images.
    """
    if table := _table(train):
        return [line.strip() for _, line in _text(table) if line.strip()]
    listed, highest, line = 0, -1, 0
    for number, _, label in _lines(train):
        listed += 1
        if label > highest:
            highest, line = label, number
    if highest >= listed:
        raise DataError(
            f"{train}, line {line}: the label {highest} says that there are {highest + 1} classes, but the "
            f"list has {listed} images; labels are counted from 0, and every class needs an image"
        )
    return [str(label) for label in range(highest + 1)]


def read(train: Path) -> ImageSet:
    """Read a list of training images, and that of evaluation images beside it (`test.txt` or `val.txt`).

    Raises:
        DataError: a list that is missing or empty, a line that is no path and label, a label that no class
            has, or an image that is listed twice.
    """
    val = _first(train.parent, _VAL)
    if val is None:
        raise DataError(f"{train.parent / _VAL[0]}: no such list of evaluation images beside {train.name}")
    names, seen = class_names(train), {}
    parts = []
    for split, path in (("train", train), ("val", val)):
        files, labels = [], []
        for number, file, label in _lines(path):
            _check_image(path, number, file, label, names, seen)
            files.append(file)
            labels.append(label)
        if not files:
            raise DataError(f"{path}: lists no images; every line is a path and the number of its class")
        parts.append(file_split(_root(path, files[0]), files, labels, split))
    return image_set(names, *parts)


def _check_image(
    path: Path, number: int, file: str, label: int, names: list[str], seen: dict[str, str]
) -> None:
    """Refuse a label that no class has, and an image that was met before."""
    if label >= len(names):
        raise DataError(
            f"{path}, line {number}: '{file}' has the label {label}, but there are {len(names)} classes, "
            "numbered from 0"
        )
    if file in seen:
        raise DataError(f"{path}, line {number}: '{file}' is listed twice, before in {seen[file]}")
    seen[file] = f"{path.name}, line {number}"


def _lines(path: Path) -> Iterator[tuple[int, str, int]]:
    """Number of the line, path and label of every image; paths may hold spaces."""
    for number, line in _text(path):
        if not line.strip():
            continue
        file, _, label = line.strip().rpartition(" ")
        if not file.strip() or not (label.isascii() and label.isdigit() and len(label) <= _DIGITS):
            raise DataError(
                f"{path}, line {number}: found {shown(line.strip())}; every line is a path, a space, and the "
                "number of its class, from 0 on"
            )
        yield number, file.strip(), int(label)


def _table(train: Path) -> Path | None:
    """The file that names the classes, if there is one."""
    places = (train.parent / _CLASSES, train.parent.parent / _CLASSES)
    return next((place for place in places if place.is_file()), None)


def _root(path: Path, file: str) -> Path:
    """What the paths of a list are relative to: its folder or the one above, as an image tells."""
    return next((place for place in path.parents[:2] if (place / file).exists()), path.parent.parent)


def _first(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def _text(path: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines."""
    try:
        with files.plain(path).open(encoding="utf-8-sig") as file:
            yield from enumerate(plain_text.lines(file), 1)
    except (OSError, ValueError) as error:
        raise DataError(
            f"{path}: cannot be read as a list of images ({files.first_line(error)}); write it anew"
        ) from error
