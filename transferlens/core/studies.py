"""Studies: tables of masks over the source's units, one row per source model, cut into shards."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np

from transferlens.core import store
from transferlens.core.seeding import seed_for

KIND = "masks"


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
        rows: int64[models], the row numbers in the study.
        training_seeds: int64[models], decide initial weights, data order and augmentation. Rows that share
            one start from the same weights: they are pairs.
        labels: one name a row, saying what it is.
        unit_names: one name a unit.
        unit_groups: one coarser name a unit ('' when unknown).
    """

    masks: np.ndarray
    rows: np.ndarray
    training_seeds: np.ndarray
    labels: list[str]
    unit_names: list[str]
    unit_groups: list[str]

    def __len__(self) -> int:
        return len(self.masks)


def shards(rows: int, shard_size: int) -> list[str]:
    """Names of the shards of a study."""
    return [f"{i:04d}" for i in range(-(-rows // shard_size))]


def shard_rows(shard: str, rows: int, shard_size: int) -> range:
    """Row numbers of one shard."""
    start = int(shard) * shard_size
    return range(start, min(start + shard_size, rows))


def reference_rows(units: Units, rows: range, seed: int) -> Rows:
    """Rows of the `reference` study: even rows see the whole source, odd rows nothing (from scratch).

    Rows 2r and 2r + 1 share their training seed: repeat r.
    """
    numbers = np.array(rows)
    masks = np.repeat((numbers % 2 == 0)[:, None], len(units.names), axis=1)
    seeds = [repeat_seed(seed, int(row) // 2) for row in numbers]
    labels = [f"{'scratch' if row % 2 else 'full'}-{row // 2}" for row in numbers]
    return Rows(masks, numbers, np.array(seeds), labels, units.names, units.groups)


def repeat_seed(seed: int, repeat: int) -> int:
    """Training seed of repeat r, shared by every study that is compared in pairs."""
    return seed_for(seed, "repeat", repeat)


def pretrained_rows(units: Units) -> Rows:
    """The one row of the `pretrained` study: the whole source, weights loaded instead of trained."""
    masks = np.ones((1, len(units.names)), bool)
    return Rows(masks, np.array([0]), np.array([0]), ["pretrained"], units.names, units.groups)


def write_rows(path: Path, rows: Rows, units: Units, *, config: dict, seed: int, inputs: list) -> None:
    """Store a shard of masks, with the unit of every source training image."""
    with store.create(path, KIND, config=config, seed=seed, inputs=inputs) as out:
        write_row_table(out, rows)
        out.array(
            "unit_of_image",
            units.of_images.astype(np.int32),
            ["images"],
            "index into unit_names, train split",
        )


def write_row_table(out: store.Writer, rows: Rows) -> None:
    """The columns that identify rows; every artefact with a model axis carries them."""
    out.array("masks", rows.masks, ["models", "units"], "whether the model saw the unit of the source")
    out.array("rows", rows.rows, ["models"], "row number in the study")
    out.array("training_seeds", rows.training_seeds, ["models"], "seed of weights and data order")
    out.strings("labels", rows.labels, ["models"], "what the row is")
    out.strings(
        "unit_names", rows.unit_names, ["units"], "source class, group of classes, or block of images"
    )
    out.strings("unit_groups", rows.unit_groups, ["units"], "coarser name of the unit")


def read_row_table(file) -> Rows:
    """Read the columns that `write_row_table` wrote."""
    return Rows(
        *(file[name][:] for name in ("masks", "rows", "training_seeds")),
        *(store.strings(file[name]) for name in ("labels", "unit_names", "unit_groups")),
    )


def read_rows(path: str | Path) -> tuple[Rows, np.ndarray]:
    """Read a shard of masks, and the unit of every source training image int64[images]."""
    with store.open(path, KIND) as file:
        return read_row_table(file), file["unit_of_image"][:].astype(np.int64)
