"""Images that take part twice: one file by two paths, or the same pixels in both splits."""

import os
from collections.abc import Callable
from functools import cache

import numpy as np

from transferlens.core import job
from transferlens.core.errors import DataError
from transferlens.data.splits import Split


def refuse_one_file_twice(name: str, train: Split, val: Split) -> None:
    """Every file has one split and one label, by whatever paths, links among them, it is reached.

    Raises:
        DataError: naming both images of the first file that has two.
    """
    parts = [split for split in (train, val) if split.file and len(split.ids)]
    if not parts:
        return
    resolved = _resolver()
    # 64 bits stand for a path: of a million images they take 8 MB, and two meet by chance once in 10^7 runs.
    places = np.array([hash(resolved(split.file(i))) for split in parts for i in range(len(split.ids))])
    labels = np.concatenate([split.labels for split in parts])
    sides = np.repeat(np.arange(len(parts)), [len(split.ids) for split in parts])
    order = np.argsort(places, kind="stable")
    one, other = order[:-1], order[1:]
    used_otherwise = (labels[one] != labels[other]) | (sides[one] != sides[other])
    found = np.flatnonzero((places[one] == places[other]) & used_otherwise)
    if len(found):
        ids = [example for split in parts for example in split.ids]
        raise DataError(
            f"data set {name}: '{ids[one[found[0]]]}' and '{ids[other[found[0]]]}' are one file, in two "
            "splits or of two classes; give every image one of each"
        )


def _resolver() -> Callable[[str], str]:
    """A function from paths to places on disk: of each image it asks if it is a link, of folders once."""
    place_of = cache(os.path.realpath)

    def resolved(path: str) -> str:
        folder, file = os.path.split(path)
        return os.path.realpath(path) if os.path.islink(path) else os.path.join(place_of(folder), file)

    return resolved


def digest(pixels: np.ndarray) -> int:
    """64 bits that tell images uint8[height, width, 3] apart within this process."""
    return hash((pixels.shape, pixels.tobytes()))


def warn_of_same_pixels(
    name: str, train_ids: list[str], train: np.ndarray, val_ids: list[str], val: np.ndarray
) -> None:
    """Tell how many evaluation images look exactly as a training image does, and name a pair.

    Args:
        train, val: digests of the images, int64[images].
    """
    both = np.isin(val, train)
    if both.any():
        example = int(both.argmax())
        twin = int((train == val[example]).argmax())
        job.log.warning(
            "data set %s: %d of %d evaluation images have the pixels of a training image ('%s' those of "
            "'%s'), so a model may know them by heart; take them out of one split",
            name,
            both.sum(),
            len(val),
            val_ids[example],
            train_ids[twin],
        )
