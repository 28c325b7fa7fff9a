"""Tables of images: a CSV file with the columns `path`, `label` and `split`."""

from collections.abc import Iterator
from pathlib import Path

from transferlens.core.errors import DataError
from transferlens.data import plain_text
from transferlens.data.splits import ImageSet, file_split, image_set

_COLUMNS = ("path", "label", "split")
_SPLITS = ("train", "val")


def class_names(table: Path) -> list[str]:
    """The labels in a table, sorted."""
    return sorted({label for _, label, _ in _rows(table)})


def read(table: Path) -> ImageSet:
    """Read a table of images; paths are relative to its folder, classes are its labels, sorted.

    Raises:
        DataError: no such table, columns that are missing, a split that is neither train nor val, or an
            image that is listed twice.
    """
    names = class_names(table)
    label_of = {name: i for i, name in enumerate(names)}
    paths: dict[str, list[str]] = {split: [] for split in _SPLITS}
    labels: dict[str, list[int]] = {split: [] for split in _SPLITS}
    seen = set()
    for path, label, split in _rows(table):
        if path in seen:
            raise DataError(f"{table}: '{path}' is listed twice; every image has one label and one split")
        seen.add(path)
        paths[split].append(path)
        labels[split].append(label_of[label])
    parts = (file_split(table.parent, paths[s], labels[s], s) for s in _SPLITS)
    return image_set(names, *parts)


def _rows(table: Path) -> Iterator[tuple[str, str, str]]:
    for number, (path, label, split) in plain_text.rows(table, _COLUMNS, "a table of images", DataError):
        if not path or not label or split not in _SPLITS:
            raise DataError(
                f"{table}, line {number}: path '{path}', label '{label}', split '{split}'; "
                "every row needs a path, a label, and train or val"
            )
        yield path, label, split
