"""The part of a target's training images that trials are told on, and are not trained on."""

from collections.abc import Sequence

import numpy as np

from transferlens.comparison import scope
from transferlens.core.errors import ConfigError, DataError
from transferlens.core.run import Run
from transferlens.core.seeding import rng_for

LEAST = 2  # images of a class, in either part


def held_out(labels: np.ndarray, share: float, seed: int) -> np.ndarray:
    """bool[n]: a share of every class's images, at least two of them and all but two at most.

    The same images for all recipes: the seed of the run draws them.

    Args:
        labels: int64[n], of training images; four or more of each class that there is.
    """
    held, rng = np.zeros(len(labels), bool), rng_for(seed, "tuning", "held out")
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        count = min(max(LEAST, round(share * len(members))), len(members) - LEAST)
        held[members[:count]] = True
    return held


def require_images(target: str, labels: np.ndarray, class_names: Sequence[str]) -> None:
    """Refuse a target of which some class has too few training images to hold any out.

    Raises:
        DataError: naming the target, the smallest class and its images.
    """
    counts = np.bincount(labels, minlength=len(class_names))
    if counts.min() < 2 * LEAST:
        smallest = class_names[int(counts.argmin())]
        raise DataError(_too_few(target, f"class '{smallest}' has {counts.min()} training images"))


def check(run: Run) -> None:
    """Refuse targets that settings leave too few images of a class; jobs refuse those that have no more.

    Raises:
        ConfigError: one line, before anything runs.
    """
    for target in scope.targets(run):
        images = run.dataset(target).train_per_class
        if images is not None and images < 2 * LEAST:
            found = f"its settings give a class {images} training images at most"
            raise ConfigError(f"config: {_too_few(target, found)}")


def _too_few(target: str, found: str) -> str:
    return (
        f"target {target}: {found}, too few to compare recipes on: trials hold out {LEAST} of a class and "
        f"are trained on {LEAST}; give it {2 * LEAST} or more, or set comparison: null"
    )
