"""Orders of removal with their controls, and the rows of a counterfactual study."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import numpy as np

from transferlens.core import artefacts
from transferlens.core.errors import ConfigError, nearest
from transferlens.core.seeding import rng_for
from transferlens.core.studies import REMOVAL, Rows, Units, repeat_seed
from transferlens.counterfactual.artefacts import LABEL_MAPPING
from transferlens.counterfactual.order_files import read_order
from transferlens.data.artefacts import HALVES
from transferlens.data.index import Index

# Ways to choose what a row lacks, beside the orders of removal.
HANDPICKED, SINGLE, RANDOM_SET = "handpicked", "single", "random set"
# Of these a row's column `removed` holds the place, of all others how many units are gone.
_PLACED = (SINGLE, RANDOM_SET)

# The evidence of an order that a user wrote down, before its name.
_WRITTEN = "order_"

# The smallest random set that is removed.
_SMALLEST_SET = 2

# Random sets of units among which the one nearest in size is taken.
_CANDIDATES = 1000


@dataclass(frozen=True)
class Evidence:
    """What orders of removal go by.

    Attributes:
        effect: float[units], influence on the select half of the target.
        images: int64[units], training images of each unit.
        mapped, probable: float[units], how often the full source model puts the target's training images into
            the unit, and the probability that it gives to it (None unless order `label_mapping` is asked
            for).
        choosing: float[units], the influence by those draws of masks that choose single removals, so that
            the others can predict what these do (None: by all draws).
        written: units in the orders that a user wrote down, by name.
    """

    effect: np.ndarray
    images: np.ndarray
    mapped: np.ndarray | None = None
    probable: np.ndarray | None = None
    choosing: np.ndarray | None = None
    written: Mapping[str, list[int]] = field(default_factory=dict)


@dataclass(frozen=True)
class Cells:
    """The cells of a counterfactual study; every repeat trains each cell once.

    Attributes:
        orders, ks: the curves: every order at every number of removed units.
        handpicked: the units to keep in one more cell, or None.
        singles: how many units are also removed one at a time.
        subsets: how many random sets of units each repeat draws and removes.
    """

    orders: list[str]
    ks: list[int]
    handpicked: list[str] | None = None
    singles: int = 0
    subsets: int = 0

    @classmethod
    def of(cls, settings: Mapping[str, Any]) -> Self:
        """From the settings that draw the rows."""
        return cls(*(settings[key] for key in ("orders", "ks", "handpicked", "singles", "subsets")))

    def table(self) -> list[tuple[str, int]]:
        """(order, k) of every curve, then (HANDPICKED, 0), (SINGLE, place)s and (RANDOM_SET, place)s."""
        curves = [(order, k) for order in self.orders for k in self.ks]
        by_hand = [(HANDPICKED, 0)] if self.handpicked else []
        singles = [(SINGLE, place) for place in range(self.singles)]
        return curves + by_hand + singles + [(RANDOM_SET, place) for place in range(self.subsets)]

    def of_row(self, row: int) -> tuple[int, str, int]:
        """(repeat, order, k or place) of a row: repeat by repeat, so that more repeats only append rows."""
        cells = self.table()
        repeat, cell = divmod(row, len(cells))
        return repeat, *cells[cell]

    def of_columns(self, removed_by: str, removed: int) -> int:
        """The place in the table of a row's cell, from the columns of the row."""
        return self.table().index((removed_by, 0 if removed_by == HANDPICKED else removed))

    def places(self, removed_by: str) -> list[int]:
        """The places in the table of all cells whose units are chosen this way."""
        return [i for i, (order, _) in enumerate(self.table()) if order == removed_by]

    def set_sizes(self, units: int) -> list[int]:
        """How many of so many units each random set holds: spread evenly from 2 to half of them."""
        return np.linspace(_SMALLEST_SET, units // 2, self.subsets).round().astype(int).tolist()


def check_removals(cells: Cells, unit_names: list[str]) -> None:
    """Refuse removals that the units do not allow.

    Raises:
        ConfigError: more units to remove than there are, too few for random sets, or an unknown hand-picked
            one.
    """
    units = len(unit_names)
    if cells.subsets and units // 2 < _SMALLEST_SET:
        raise ConfigError(
            f"config: studies.counterfactual.subsets is {cells.subsets}, but of {units} source classes (or "
            "groups) no random sets of different sizes can be removed; use 0"
        )
    for key, numbers in (("ks", cells.ks), ("singles", [cells.singles])):
        for k in numbers:
            if k > units:
                raise ConfigError(
                    f"config: studies.counterfactual.{key} contains {k}, but the source has {units} classes "
                    f"(or groups); use at most {units}"
                )
    for name in cells.handpicked or ():
        if name not in unit_names:
            raise ConfigError(
                f"config: studies.counterfactual.handpicked names '{name}', which the source does not have"
                + nearest(name, unit_names)
            )


def removal_order(order: str, evidence: Evidence, seed: int, repeat: int) -> np.ndarray:
    """Unit indices int64[units], first removed first.

    `top` removes the most helpful first, `bottom` the most harmful first, `random` in an order drawn for the
    repeat, `label_mapping` those first into which the full source model puts the fewest target images (among
    equals, those of the least probability). Any other order is one that a user wrote down.
    """
    if order in evidence.written:
        return np.array(evidence.written[order])
    if order == "random":
        return rng_for(seed, "removal order", repeat).permutation(len(evidence.effect))
    if order == "label_mapping":
        return np.lexsort((evidence.probable, evidence.mapped))
    ascending = np.argsort(evidence.effect, kind="stable")
    return ascending if order == "bottom" else ascending[::-1]


def removed_units(
    order: str, k: int, cells: Cells, evidence: Evidence, unit_names: list[str], seed: int, repeat: int
) -> np.ndarray:
    """Indices of the units that a cell leaves out in a repeat."""
    if order == HANDPICKED:
        return np.flatnonzero([name not in cells.handpicked for name in unit_names])
    if order == SINGLE:
        by = evidence.effect if evidence.choosing is None else evidence.choosing
        return single_units(by, cells.singles)[k : k + 1]
    if order == RANDOM_SET:
        size = cells.set_sizes(len(unit_names))[k]
        return rng_for(seed, "random set", k, repeat).permutation(len(unit_names))[:size]
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


class Removals:
    """A counterfactual study: all units but those that the row's cell leaves out.

    Each repeat shares its training seed with the full-source model of that repeat.
    """

    @staticmethod
    def draw(
        settings: Mapping[str, Any], units: Units, rows: range, evidence: Mapping[str, Path], source: Index
    ) -> Rows:
        """Rows of the study.

        Args:
            evidence: `influence`, which ranks the units, `mapping` for the order `label_mapping`, and the
                files of orders that a user wrote down, as `order_<name>`.
        """
        ranked_by = read_evidence(settings["output"], units, evidence, source)
        return removal_rows(Cells.of(settings), ranked_by, units, rows, settings["seed"])


def removal_rows(cells: Cells, evidence: Evidence, units: Units, rows: range, seed: int) -> Rows:
    """Rows with these numbers, each without what its cell leaves out."""
    table = [cells.of_row(row) for row in rows]
    masks = np.ones((len(rows), len(units.names)), bool)
    for mask, (repeat, order, k) in zip(masks, table, strict=True):
        mask[removed_units(order, k, cells, evidence, units.names, seed, repeat)] = False
    counts = (~masks).sum(1)
    return Rows(
        masks,
        np.array(rows),
        np.array([repeat_seed(seed, repeat) for repeat, _, _ in table]),
        [REMOVAL] * len(rows),
        np.array([repeat for repeat, _, _ in table]),
        [order for _, order, _ in table],
        np.array([k if order in _PLACED else n for (_, order, k), n in zip(table, counts, strict=True)]),
        units.names,
        units.groups,
    )


def evidence_of_written(paths: Mapping[str, str]) -> dict[str, str]:
    """The evidence that files of users' orders are, by the names of the orders."""
    return {_WRITTEN + name: path for name, path in paths.items()}


def read_evidence(output: str, units: Units, evidence: Mapping[str, Path], source: Index) -> Evidence:
    """What orders of removal go by, from the files of influences, of the label mapping, and of users."""
    select = HALVES.index("select")
    with artefacts.open(evidence["influence"], "influence") as file:
        effect = file[f"{output}/overall_effect"][select]
        by_fold = f"{output}/overall_effect_by_fold"
        choosing = file[by_fold][0, select] if by_fold in file else None
    mapped = probable = None
    if "mapping" in evidence:
        mapped, probable = read_mapping(evidence["mapping"], units, source)
    written = {
        name.removeprefix(_WRITTEN): read_order(path, units.names)
        for name, path in evidence.items()
        if name.startswith(_WRITTEN)
    }
    images = np.bincount(units.of_images, minlength=len(units.names))
    return Evidence(effect, images, mapped, probable, choosing, written)


def read_mapping(path: Path, units: Units, source: Index) -> tuple[np.ndarray, np.ndarray]:
    """Target images put into each unit and its probability, both float64[units], means over models."""
    unit_of_class = np.zeros(len(source.class_names), int)
    unit_of_class[source.train.labels] = units.of_images
    with artefacts.open(path, LABEL_MAPPING) as file:
        by_class = [file[name][:].mean(0) for name in ("count", "probability")]
    return tuple(np.bincount(unit_of_class, values, len(units.names)) for values in by_class)
