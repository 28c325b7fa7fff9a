"""Studies: tables of masks over the source's units, one row per source model, cut into shards.

A row says in columns what it is: its role, its repeat, and how what it lacks was chosen. Row i is a pure
function of (seed, design, i), so that more rows never change the first ones.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact, Field
from transferlens.core.errors import ArtefactError
from transferlens.core.seeding import seed_for

# What a row is.
FULL, SCRATCH, SUBSET, REMOVAL, PRETRAINED = "full", "scratch", "subset", "removal", "pretrained"


class Units(Protocol):
    """What a mask switches on and off; `data.units` makes them."""

    names: list[str]
    groups: list[str]
    of_images: np.ndarray


@dataclass(frozen=True)
class Rows:
    """Some rows of a study.

    Attributes:
        masks: bool[models, units], which units of the source each model is trained on: source classes, groups
            of them, or blocks of source images.
        numbers: int64[models], the row numbers in the study.
        training_seeds: int64[models], decide initial weights, data order and augmentation. Rows that share
            one start from the same weights: they are pairs.
        roles: one of FULL, SCRATCH, SUBSET, REMOVAL, PRETRAINED a row.
        repeats: int64[models], the repeat that a row belongs to; -1 where rows are not repeated.
        removed_by: how the units that a row lacks were chosen (an order of removal, say); '' where none was
            singled out.
        removed: int64[models], how many units were taken away by it, or the place of a single one in it.
        unit_names: one name a unit.
        unit_groups: one coarser name a unit ('' when unknown).
    """

    masks: np.ndarray
    numbers: np.ndarray
    training_seeds: np.ndarray
    roles: list[str]
    repeats: np.ndarray
    removed_by: list[str]
    removed: np.ndarray
    unit_names: list[str]
    unit_groups: list[str]

    def __len__(self) -> int:
        return len(self.masks)

    def first(self, count: int) -> "Rows":
        """So many of the first rows."""
        own = {name: value[:count] for name, value in vars(self).items() if not name.startswith("unit_")}
        return Rows(**own, unit_names=self.unit_names, unit_groups=self.unit_groups)

    def of_role(self, role: str) -> np.ndarray:
        """Positions int64[n] of the rows of a role, in the order of their repeats."""
        positions = np.flatnonzero(np.array(self.roles) == role)
        return positions[np.argsort(self.repeats[positions], kind="stable")]


# The columns that identify rows; every artefact with a model axis carries them.
ROW_FIELDS = (
    Field("model", ("model",), np.int64, "row number in the study"),
    Field("mask", ("model", "unit"), bool, "whether the model saw the unit of the source"),
    Field("training_seed", ("model",), np.int64, "seed of weights and data order"),
    Field("role", ("model",), str, "what the row is"),
    Field("repeat", ("model",), np.int64, "repeat of the row; -1 where rows are not repeated"),
    Field("removed_by", ("model",), str, "how the units that the row lacks were chosen"),
    Field("removed", ("model",), np.int64, "units taken away by it, or the place of a single one"),
    Field("unit", ("unit",), str, "source class, group of classes, or block of images"),
    Field("unit_group", ("unit",), str, "coarser name of the unit"),
)
# The column of each attribute of `Rows`.
_COLUMNS = {
    "masks": "mask",
    "numbers": "model",
    "training_seeds": "training_seed",
    "roles": "role",
    "repeats": "repeat",
    "removed_by": "removed_by",
    "removed": "removed",
    "unit_names": "unit",
    "unit_groups": "unit_group",
}

MASKS = Artefact(
    kind="masks",
    path="studies/{study}/masks/{shard}.h5",
    fields=(
        *ROW_FIELDS,
        Field("unit_of_image", ("source_image",), np.int32, "position of the unit of each training image"),
    ),
)


@dataclass(frozen=True)
class Study:
    """How the rows of a study are made, and what becomes of its models.

    Attributes:
        name: of its folder; studies made for a target and a recipe are folders of folders.
        kind: import path of the class that draws its rows (see `StudyKind`).
        masks: the settings that draw them; `units` is `classes`, `groups`, or the images of a block.
        evidence: the files, beside the source's index, that the drawing goes by.
        architecture, input: the network, and how images enter it; None for the run's own.
        loads: the weights that the models are given instead of being trained: `weights`, `prefix`, `head`,
            and the section that gives them, `named`.
        step_matched: whether all models take as many steps as the full source.
        keeps_weights: whether source models stay whatever `source_weights` says.
        keeps_networks: whether whole adapted networks stay, too.
        seen, seen_units: the mean share of the source's units that a model sees, plus so many units (where
            negative, without so many): known before the number of units is.
    """

    name: str
    kind: str
    rows: int
    shard_size: int
    masks: Mapping[str, Any]
    evidence: Mapping[str, str] = field(default_factory=dict)
    architecture: Mapping[str, Any] | None = None
    input: Mapping[str, Any] | None = None
    loads: Mapping[str, Any] | None = None
    step_matched: bool = False
    keeps_weights: bool = False
    keeps_networks: bool = False
    seen: float = 1.0
    seen_units: float = 0.0

    @cached_property
    def shards(self) -> list[str]:
        """Names of the shards."""
        return [f"{i:04d}" for i in range(-(-self.rows // self.shard_size))]

    def share_seen(self, units: int) -> float:
        """The mean share of so many units that a model sees."""
        return self.seen + self.seen_units / units

    def shards_of(self, rows: int) -> list[str]:
        """The shards that hold the first rows."""
        return self.shards[: -(-rows // self.shard_size)]

    def rows_of(self, shard: str) -> range:
        """Row numbers of one shard."""
        start = int(shard) * self.shard_size
        return range(start, min(start + self.shard_size, self.rows))


class StudyKind(Protocol):
    """Draws rows of a study; reached by its import path, so that no study's rows depend on another's code."""

    @staticmethod
    def draw(
        settings: Mapping[str, Any], units: Units, rows: range, evidence: Mapping[str, Path], source: Any
    ) -> Rows:
        """Rows with these numbers.

        Args:
            settings: the study's `masks`, with `seed` and its name as `study`.
            evidence: the files named by the study.
            source: the index of the source data set.
        """


class Reference:
    """Even rows see the whole source, odd rows nothing (from scratch). Rows 2r and 2r + 1 are repeat r."""

    @staticmethod
    def draw(
        settings: Mapping[str, Any], units: Units, rows: range, evidence: Mapping[str, Path], source: Any
    ) -> Rows:
        """See `StudyKind`."""
        return _beside_scratch(FULL, settings["seed"], units, rows)


class Pretrained:
    """As `Reference`, with given weights in the even rows: all the same, adapted with seeds of their own."""

    @staticmethod
    def draw(
        settings: Mapping[str, Any], units: Units, rows: range, evidence: Mapping[str, Path], source: Any
    ) -> Rows:
        """See `StudyKind`."""
        return _beside_scratch(PRETRAINED, settings["seed"], units, rows)


def _beside_scratch(role: str, seed: int, units: Units, rows: range) -> Rows:
    """A role that sees the whole source in even rows, its control from scratch in odd ones."""
    numbers = np.array(rows)
    return Rows(
        np.repeat((numbers % 2 == 0)[:, None], len(units.names), axis=1),
        numbers,
        np.array([repeat_seed(seed, int(row) // 2) for row in numbers]),
        [SCRATCH if row % 2 else role for row in numbers],
        numbers // 2,
        [""] * len(numbers),
        np.zeros(len(numbers), np.int64),
        units.names,
        units.groups,
    )


def places(parts: Sequence[Rows], paths: Sequence[Path], wanted: Sequence[int]) -> list[tuple[int, int]]:
    """Where the rows with these numbers lie: (position of the shard, position in it).

    Raises:
        ArtefactError: a row that is in none.
    """
    known = {
        int(number): (shard, i) for shard, own in enumerate(parts) for i, number in enumerate(own.numbers)
    }
    for row in wanted:
        if int(row) not in known:
            raise ArtefactError(f"{paths[0]}: row {row} is in none of these {len(paths)} shards")
    return [known[int(row)] for row in wanted]


def repeat_seed(seed: int, repeat: int) -> int:
    """Training seed of repeat r, shared by every study that is compared in pairs."""
    return seed_for(seed, "repeat", repeat)


def write_masks(path: Path, rows: Rows, units: Units) -> None:
    """Store a shard of masks, with the unit of every source training image."""
    with artefacts.create(path, MASKS) as out:
        write_rows(out, rows)
        out.write("unit_of_image", units.of_images)


def write_rows(out: artefacts.Writer, rows: Rows) -> None:
    """The columns that identify rows."""
    for attribute, name in _COLUMNS.items():
        out.write(name, getattr(rows, attribute))


def read_rows(file: h5py.File) -> Rows:
    """Read the columns that `write_rows` wrote."""
    strings = {declared.name for declared in ROW_FIELDS if declared.dtype is str}
    return Rows(*(artefacts.names(file[n]) if n in strings else file[n][:] for n in _COLUMNS.values()))


def read_masks(path: str | Path) -> tuple[Rows, np.ndarray]:
    """Read a shard of masks, and the unit of every source training image int64[images]."""
    with artefacts.open(path, MASKS) as file:
        return read_rows(file), file["unit_of_image"][:].astype(np.int64)


def joined(parts: list[Rows], paths: list[Path]) -> Rows:
    """The rows of several shards, one after the other.

    Raises:
        ArtefactError: a shard of other units, or rows that are not those next in the study.
    """
    first = parts[0]
    expected = int(first.numbers[0])
    for rows, path in zip(parts, paths, strict=True):
        if (rows.unit_names, rows.unit_groups) != (first.unit_names, first.unit_groups):
            raise ArtefactError(f"{path}: has other units than {paths[0]}; delete it and run snakemake again")
        if not np.array_equal(rows.numbers, expected + np.arange(len(rows))):
            raise ArtefactError(
                f"{path}: holds rows {rows.numbers[0]} to {rows.numbers[-1]} of its study where rows from "
                f"{expected} on were expected; delete it and run snakemake again"
            )
        expected += len(rows)
    stacked = {
        key: np.concatenate([getattr(rows, key) for rows in parts])
        for key in ("masks", "numbers", "training_seeds", "repeats", "removed")
    }
    lists = {key: [v for rows in parts for v in getattr(rows, key)] for key in ("roles", "removed_by")}
    return Rows(**stacked, **lists, unit_names=first.unit_names, unit_groups=first.unit_groups)
