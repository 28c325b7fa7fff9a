"""Names of classes that are known without any image, and one name for what data sets label differently.

For some registered sets a table in `classes/` lists the publishers' labels in their order, and, where these
are hard to read, a name and a group. WordNet ids of ImageNet's classes become `tench (n01440764)` in every
data set: readable words are not unique, and the id ties the class to WordNet.
"""

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from transferlens.core.errors import ConfigError, DataError, nearest
from transferlens.data.splits import ImageSet

_FOLDER = Path(__file__).with_name("classes")
_WNID = re.compile(r"n\d{8}")


@dataclass(frozen=True)
class Classes:
    """The classes of a registered set in the publishers' order: labels as in their files, names, groups."""

    labels: list[str]
    names: list[str]
    groups: list[str]


@cache
def known(data_set: str) -> Classes | None:
    """The table of a registered set's classes, if there is one."""
    path = _FOLDER / f"{data_set}.tsv"
    if not path.is_file():
        return None
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    labels = [row["label"] for row in rows]
    names = [row.get("name") or readable(row["label"]) for row in rows]
    return Classes(labels, names, [row.get("group") or "" for row in rows])


def readable(label: str) -> str:
    """The name of a label: ImageNet's WordNet ids with their word, anything else as it is."""
    return _imagenet_names().get(label, label) if _WNID.fullmatch(label) else label


@cache
def _imagenet_names() -> dict[str, str]:
    classes = known("imagenet")
    return dict(zip(classes.labels, classes.names, strict=True))


def places_in_imagenet(names: Sequence[str], asked_by: str) -> list[int]:
    """Where classes stand among ImageNet's 1,000, by their names with WordNet ids.

    Args:
        asked_by: what has an output for each of the 1,000, for the message.

    Raises:
        ConfigError: a class that is none of them.
    """
    place_of = {name: place for place, name in enumerate(known("imagenet").names)}
    for name in names:
        if name not in place_of:
            raise ConfigError(
                f"{asked_by} has an output for each of ImageNet's 1,000 classes, and the source class "
                f"'{name}' is none of them; name classes by their WordNet ids (n01443537), or leave it out"
            )
    return [place_of[name] for name in names]


def named(data_set: str, images: ImageSet, where: object) -> ImageSet:
    """The image set with names for its labels; those of a known set come in the publishers' order.

    Raises:
        DataError: labels that are missing, unknown, or differ only in case, spaces or underscores.
    """
    _refuse_look_alikes(data_set, images.class_names, where)
    classes = known(data_set)
    if classes is None:
        return replace(images, class_names=[readable(label) for label in images.class_names])
    places = _places(data_set, images.class_names, classes, where)
    relabelled = (replace(split, labels=places[split.labels]) for split in (images.train, images.val))
    return ImageSet(classes.names, classes.groups, *relabelled)


def _places(data_set: str, labels: Sequence[str], classes: Classes, where: object) -> np.ndarray:
    """Where each label stands among the known classes, int64[labels]."""
    place_of = {str(i): i for i in range(len(classes.names))}  # numbers, as in HDF5 files, count from 0
    if not place_of.keys() >= set(labels) or place_of.keys() & set(classes.labels):
        place_of = {_plain(text): i for i, text in enumerate(classes.names)}
        place_of |= {_plain(text): i for i, text in enumerate(classes.labels)}
    for label in labels:
        if _plain(label) not in place_of:
            raise DataError(
                f"data set {data_set}: {where} has a class '{label}', which is none of its "
                f"{len(classes.names)}" + nearest(label, classes.labels)
            )
    places = np.array([place_of[_plain(label)] for label in labels], dtype=np.int64)
    missing = np.setdiff1d(np.arange(len(classes.names)), places)
    if len(missing):
        raise DataError(
            f"data set {data_set}: {where} has {len(labels)} of its {len(classes.names)} classes; "
            f"'{classes.labels[missing[0]]}' is missing"
        )
    return places


def _refuse_look_alikes(data_set: str, labels: Sequence[str], where: object) -> None:
    seen: dict[str, str] = {}
    for label in labels:
        for text in {_plain(label), _plain(readable(label))}:
            if text in seen:
                raise DataError(
                    f"data set {data_set}: {where} has the classes '{seen[text]}' and '{label}', which are "
                    "the same but for case, spaces or a WordNet id; make them one or rename one"
                )
        seen |= {_plain(label): label, _plain(readable(label)): label}


def _plain(text: str) -> str:
    return " ".join(text.casefold().replace("_", " ").split())


def same_names(source_names: Sequence[str], target_names: Sequence[str]) -> np.ndarray:
    """bool[source classes, target classes]: equal but for case, spaces and underscores."""
    source, target = (np.array([_plain(name) for name in names]) for names in (source_names, target_names))
    return source[:, None] == target[None, :]
