"""Designs: which source classes each model of the influence study is trained on."""

import numpy as np

from transferlens.seeding import rng_for, seed_for
from transferlens.studies import Rows


def draw_row(design: str, classes: int, keep: float, seed: int, row: int) -> np.ndarray:
    """Mask bool[classes] of one row; a pure function of its arguments.

    * `bernoulli`: each class is kept with probability `keep`, independently. Differences of means then
      estimate absolute effects.
    * `fixed_size`: exactly round(keep * classes) classes (Jain et al. 2022). The influences of an example
      then sum to zero in expectation: "negative" means below the average class.
    """
    rng = rng_for(seed, design, row)
    if design == "bernoulli":
        return rng.random(classes) < keep
    mask = np.zeros(classes, bool)
    mask[rng.permutation(classes)[: round(keep * classes)]] = True
    return mask


def influence_rows(design: str, keep: float, classes: list[str], rows: range, seed: int) -> Rows:
    """Rows of the `influence` study."""
    masks = [draw_row(design, len(classes), keep, seed, row) for row in rows]
    seeds = [seed_for(seed, "influence", row) for row in rows]
    labels = [f"{design}-{row}" for row in rows]
    return Rows(
        np.array(masks).reshape(len(rows), len(classes)),
        np.array(rows),
        np.array(seeds),
        labels,
        classes,
    )
