"""Designs: which units (source classes, say) each model of a study of random masks is trained on.

Row i is a pure function of (seed, design, i), so that asking for more models keeps the old ones.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core.errors import ConfigError
from transferlens.core.seeding import rng_for, seed_for
from transferlens.core.studies import SUBSET, Rows, Units
from transferlens.estimation.hadamard import hadamard, order_for

# Designs whose rows come in pairs, each the complement of the other.
FOLD_OVER = ("complementary", "hadamard")


def draw_row(design: str, units: int, keep: float, seed: int, row: int) -> np.ndarray:
    """Mask bool[units] of one row.

    * `bernoulli`: each unit is kept with probability `keep`, independently. Effects are absolute.
    * `fixed_size`: exactly round(keep * units) units (Jain et al. 2022). The influences of an example then
      sum to zero in expectation: "negative" means below the average unit.
    * `complementary`: rows 2p are Bernoulli(1/2), rows 2p + 1 their complements: interactions of two units
      cancel from every effect.
    * `hadamard`: rows 2p and 2p + 1 are a row of a Hadamard matrix and its complement. Over a block of twice
      the matrix's order, every two units are together, apart and absent equally often: no unit's effect
      leaks into another's. Columns are chosen, and their signs and the order of rows drawn, anew for every
      block.
    """
    if design == "hadamard":
        return _hadamard_row(units, seed, row)
    if design == "complementary":
        first = rng_for(seed, design, row // 2).random(units) < 0.5
        return first if row % 2 == 0 else ~first
    rng = rng_for(seed, design, row)
    if design == "bernoulli":
        return rng.random(units) < keep
    mask = np.zeros(units, bool)
    mask[rng.permutation(units)[: round(keep * units)]] = True
    return mask


def _hadamard_row(units: int, seed: int, row: int) -> np.ndarray:
    order = order_for(units)
    block, within = divmod(row, 2 * order)
    rng = rng_for(seed, "hadamard", block)
    rows, columns = rng.permutation(order), rng.permutation(order)[:units]
    signs = rng.choice(np.array([-1, 1], np.int8), units)
    mask = hadamard(order)[rows[within // 2], columns] * signs > 0
    return mask if within % 2 == 0 else ~mask


def check_design(design: str, units: int, keep: float, models: int) -> None:
    """Refuse a design that cannot give what is asked of it.

    Raises:
        ConfigError: more rows than there are distinct ones, or a fold-over design with another share than
            1/2.
    """
    if design in FOLD_OVER and keep != 0.5:
        raise ConfigError(
            f"config: studies.influence.keep is {keep}, but design '{design}' pairs every mask with its "
            "complement and keeps one half; use keep: 0.5, or design bernoulli"
        )
    kept = round(keep * units)
    distinct = math.comb(units, kept) if design == "fixed_size" else 2 ** min(units, 63)
    if models > distinct:
        raise ConfigError(
            f"config: studies.influence.models is {models}, but design '{design}' has only {distinct} "
            f"distinct masks of {units} units; use at most {distinct} models"
        )


def draw_masks(design: str, units: int, keep: float, seed: int, rows: range) -> np.ndarray:
    """Masks bool[rows, units]."""
    masks = [draw_row(design, units, keep, seed, row) for row in rows]
    return np.array(masks, bool).reshape(len(rows), units)


class RandomMasks:
    """A study of random masks."""

    @staticmethod
    def draw(
        settings: Mapping[str, Any], units: Units, rows: range, evidence: Mapping[str, Path], source: Any
    ) -> Rows:
        """Rows of the study; its name decides the training seeds, the masks do not depend on it."""
        seed, count = settings["seed"], len(rows)
        return Rows(
            draw_masks(settings["design"], len(units.names), settings["keep"], seed, rows),
            np.array(rows),
            np.array([seed_for(seed, settings["study"], row) for row in rows]),
            [SUBSET] * count,
            np.full(count, -1),
            [""] * count,
            np.zeros(count, np.int64),
            units.names,
            units.groups,
        )
