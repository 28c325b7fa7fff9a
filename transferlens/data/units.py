"""Units: what a mask switches on and off. Source classes, groups of them, or blocks of source images."""

from dataclasses import dataclass

import numpy as np

from transferlens.data.artefacts import positions
from transferlens.data.groups import require_groups
from transferlens.data.index import Index


@dataclass(frozen=True)
class Units:
    """A division of the source's training images.

    Attributes:
        names: one name a unit.
        groups: one coarser name a unit ('' when unknown).
        of_images: int64[source training images], the unit each image belongs to.
    """

    names: list[str]
    groups: list[str]
    of_images: np.ndarray


def class_units(source: Index) -> Units:
    """Every source class is a unit."""
    return Units(source.class_names, source.class_groups, source.train.labels)


def group_units(source: Index) -> Units:
    """Source classes of one group are switched together; groups are sorted by name."""
    require_groups("source data set", source.class_names, source.class_groups)
    names = sorted(set(source.class_groups))
    of_classes = np.array([names.index(group) for group in source.class_groups])
    return Units(names, [""] * len(names), of_classes[source.train.labels])


def block_units(source: Index, images_a_block: int) -> Units:
    """Blocks of consecutive training images of one class, in the order of the index; a class's last
    is shorter.
    """
    names, groups, of_images = [], [], np.zeros(len(source.train), np.int64)
    for c, class_name in enumerate(source.class_names):
        members = np.flatnonzero(source.train.labels == c)
        for start in range(0, len(members), images_a_block):
            block = members[start : start + images_a_block]
            of_images[block] = len(names)
            names.append(f"{class_name} / {start}-{start + len(block) - 1}")
            groups.append(class_name)
    return Units(names, groups, of_images)


def unit_of_class(unit_names: list[str], source: Index) -> np.ndarray:
    """The unit int64[classes] of every source class: the class itself, or its group."""
    own = unit_names == source.class_names
    return positions(source.class_names if own else source.class_groups, unit_names)
