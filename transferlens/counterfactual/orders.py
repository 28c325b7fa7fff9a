"""Orders of removal with their controls, and the rows of a counterfactual study."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from transferlens.core.errors import ConfigError, nearest
from transferlens.core.seeding import rng_for
from transferlens.core.studies import Rows, repeat_seed

# Random sets of units among which the one nearest in size is taken.
_CANDIDATES = 1000


@dataclass(frozen=True)
class Evidence:
    """What orders of removal go by.

    Attributes:
        effect: float[units], influence on the select half of the target.
        images: int64[units], training images of each unit.
        mapped: float[units], how often the full source model puts the target's training images into the unit
            (None unless order `label_mapping` is asked for).
    """

    effect: np.ndarray
    images: np.ndarray
    mapped: np.ndarray | None = None


@dataclass(frozen=True)
class Removals:
    """The cells of a counterfactual study; every repeat trains each cell once.

    Attributes:
        orders, ks: the curves: every order at every number of removed units.
        handpicked: the units to keep in one more cell, or None.
        singles: how many units are also removed one at a time.
    """

    orders: list[str]
    ks: list[int]
    handpicked: list[str] | None
    singles: int

    @classmethod
    def of(cls, settings: dict[str, Any]) -> Self:
        """From the settings of `studies.counterfactual`."""
        return cls(*(settings[key] for key in ("orders", "ks", "handpicked", "singles")))

    def cells(self) -> list[tuple[str, int]]:
        """(order, k) of every curve's cells, then ('handpicked', 0), then ('single', j)."""
        curves = [(order, k) for order in self.orders for k in self.ks]
        by_hand = [("handpicked", 0)] if self.handpicked else []
        return curves + by_hand + [("single", j) for j in range(self.singles)]

    def row_meaning(self, row: int) -> tuple[int, str, int]:
        """(repeat, order, k or j) of a row: repeat by repeat, so that more repeats only append rows."""
        cells = self.cells()
        repeat, cell = divmod(row, len(cells))
        return repeat, *cells[cell]


def check_removals(removals: Removals, unit_names: list[str]) -> None:
    """Refuse removals that the units do not allow.

    Raises:
        ConfigError: more units to remove than there are, or an unknown hand-picked one.
    """
    units = len(unit_names)
    for key, numbers in (("ks", removals.ks), ("singles", [removals.singles])):
        for k in numbers:
            if k > units:
                raise ConfigError(
                    f"config: studies.counterfactual.{key} contains {k}, but the source has {units} classes "
                    f"(or groups); use at most {units}"
                )
    for name in removals.handpicked or ():
        if name not in unit_names:
            raise ConfigError(
                f"config: studies.counterfactual.handpicked names '{name}', which the source does not have"
                + nearest(name, unit_names)
            )


def removal_order(order: str, evidence: Evidence, seed: int, repeat: int) -> np.ndarray:
    """Unit indices int64[units], first removed first.

    `top` removes the most helpful first, `bottom` the most harmful first, `random` in an order drawn for the
    repeat, `label_mapping` those first into which the full source model puts the fewest target images.
    """
    if order == "random":
        return rng_for(seed, "removal order", repeat).permutation(len(evidence.effect))
    if order == "label_mapping":
        return np.argsort(evidence.mapped, kind="stable")
    ascending = np.argsort(evidence.effect, kind="stable")
    return ascending if order == "bottom" else ascending[::-1]


def removed_units(
    order: str, k: int, removals: Removals, evidence: Evidence, unit_names: list[str], seed: int, repeat: int
) -> np.ndarray:
    """Indices of the units that a cell leaves out."""
    if order == "handpicked":
        return np.flatnonzero([name not in removals.handpicked for name in unit_names])
    if order == "single":
        return single_units(evidence.effect, removals.singles)[k : k + 1]
    if order == "matched":
        return _size_matched(evidence, k, seed, repeat)
    return removal_order(order, evidence, seed, repeat)[:k]


def single_units(effect: np.ndarray, count: int) -> np.ndarray:
    """Units to remove one at a time: evenly spaced from the most harmful to the most helpful."""
    ranks = np.unique(np.linspace(0, len(effect) - 1, count).round().astype(int))
    return np.argsort(effect, kind="stable")[ranks]


def _size_matched(evidence: Evidence, k: int, seed: int, repeat: int) -> np.ndarray:
    """A random set of k units with about as many images as the k most harmful ones.

    The control for what the mere number of images does: of a thousand random sets, the one nearest in size
    (the first of several).
    """
    wanted = evidence.images[removal_order("bottom", evidence, seed, repeat)[:k]].sum()
    rng = rng_for(seed, "size-matched", k, repeat)
    sets = [rng.permutation(len(evidence.images))[:k] for _ in range(_CANDIDATES)]
    distances = [abs(int(evidence.images[s].sum() - wanted)) for s in sets]
    return sets[int(np.argmin(distances))]


def counterfactual_rows(
    removals: Removals,
    evidence: Evidence,
    unit_names: list[str],
    unit_groups: list[str],
    rows: range,
    seed: int,
) -> Rows:
    """Rows of a counterfactual study: all units but those that the row's cell leaves out.

    Each repeat shares its training seed with the full-source model of that repeat.
    """
    table = [removals.row_meaning(row) for row in rows]
    masks = np.ones((len(rows), len(unit_names)), bool)
    for mask, (repeat, order, k) in zip(masks, table, strict=True):
        mask[removed_units(order, k, removals, evidence, unit_names, seed, repeat)] = False
    return Rows(
        masks,
        np.array(rows),
        np.array([repeat_seed(seed, repeat) for repeat, _, _ in table]),
        [f"{order}-{k}-{repeat}" for repeat, order, k in table],
        unit_names,
        unit_groups,
    )
