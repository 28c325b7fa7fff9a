"""A part of a data set: some of its classes, and some images of each."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from transferlens.core.errors import ConfigError, nearest
from transferlens.core.seeding import rng_for
from transferlens.core.settings import ClassSelection
from transferlens.data.catalogue import share_of
from transferlens.data.classnames import readable
from transferlens.data.splits import ImageSet, Split


def at_most(
    labels: np.ndarray, per_class: int | None, rng: np.random.Generator, share: float | None = None
) -> np.ndarray:
    """Positions of random images of every class, ascending: at most `per_class`, or a share of them.

    Smaller parts are parts of larger ones, whichever way they are asked for, if the generator is the same.
    """
    if per_class is None and share is None:
        return np.arange(len(labels))
    rows = []
    for c in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == c))
        rows.append(members[: per_class if share is None else share_of(share, len(members))])
    return np.sort(np.concatenate([np.zeros(0, np.int64), *rows]))


def chosen_classes(where: str, class_names: Sequence[str], selection: ClassSelection | None) -> np.ndarray:
    """Positions int64[chosen] among a data set's classes, ascending (of named ones, in the order given).

    Args:
        where: the selection's key in the configuration, for messages.
        selection: None for all.

    Raises:
        ConfigError: an unknown class, or more classes than there are.
    """
    count = len(class_names)
    if selection is None:
        return np.arange(count)
    if selection.names is not None:
        known = list(class_names)
        return np.array([_place(where, readable(wanted), known) for wanted in selection.names])
    wanted = selection.first or selection.random
    if wanted > count:
        raise ConfigError(
            f"config: {where} asks for {wanted} classes, but the set has {count}; use at most {count}"
        )
    if selection.first:
        return np.arange(wanted)
    return np.sort(rng_for(selection.seed, "classes", count).permutation(count)[:wanted])


def _place(where: str, wanted: str, known: list[str]) -> int:
    if wanted not in known:
        raise ConfigError(
            f"config: {where} names '{wanted}', which the set does not have" + nearest(wanted, known)
        )
    return known.index(wanted)


def restricted(name: str, images: ImageSet, selection: ClassSelection | None) -> ImageSet:
    """An image set with the images of the chosen classes alone, which are numbered anew."""
    if selection is None:
        return images
    chosen = chosen_classes(f"datasets.{name}.classes", images.class_names, selection)
    label_of = np.full(len(images.class_names), -1)
    label_of[chosen] = np.arange(len(chosen))
    return replace(
        images,
        class_names=[images.class_names[c] for c in chosen],
        class_groups=[images.class_groups[c] for c in chosen],
        train=_part(images.train, label_of),
        val=_part(images.val, label_of),
    )


def _part(split: Split, label_of: np.ndarray) -> Split:
    """The images whose class has a new label (not -1)."""
    kept = split.part(np.flatnonzero(label_of[split.labels] >= 0))
    return replace(kept, labels=label_of[kept.labels])
