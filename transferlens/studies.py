"""Studies: tables of source-class masks, one row per source model, cut into shards."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens import store
from transferlens.seeding import seed_for

KIND = "masks"


@dataclass(frozen=True)
class Rows:
    """Some rows of a study.

    Attributes:
        masks: bool[models, classes], which source classes each model is trained on.
        rows: int64[models], the row numbers in the study.
        training_seeds: int64[models], decide initial weights, data order and augmentation. Rows that share
            one start from the same weights: they are pairs.
        labels: one name a row, saying what it is.
        class_names: the source classes.
    """

    masks: np.ndarray
    rows: np.ndarray
    training_seeds: np.ndarray
    labels: list[str]
    class_names: list[str]

    def __len__(self) -> int:
        return len(self.masks)


def shards(rows: int, shard_size: int) -> list[str]:
    """Names of the shards of a study."""
    return [f"{i:04d}" for i in range(-(-rows // shard_size))]


def shard_rows(shard: str, rows: int, shard_size: int) -> range:
    """Row numbers of one shard."""
    start = int(shard) * shard_size
    return range(start, min(start + shard_size, rows))


def reference_rows(classes: list[str], rows: range, seed: int) -> Rows:
    """Rows of the `reference` study: even rows see every class, odd rows none (from scratch).

    Rows 2r and 2r + 1 share their training seed: repeat r.
    """
    numbers = np.array(rows)
    masks = np.repeat((numbers % 2 == 0)[:, None], len(classes), axis=1)
    seeds = [repeat_seed(seed, int(row) // 2) for row in numbers]
    labels = [f"{'scratch' if row % 2 else 'full'}-{row // 2}" for row in numbers]
    return Rows(masks, numbers, np.array(seeds), labels, classes)


def repeat_seed(seed: int, repeat: int) -> int:
    """Training seed of repeat r, shared by every study that is compared in pairs."""
    return seed_for(seed, "repeat", repeat)


def pretrained_rows(classes: list[str]) -> Rows:
    """The one row of the `pretrained` study: all classes, weights loaded instead of trained."""
    return Rows(np.ones((1, len(classes)), bool), np.array([0]), np.array([0]), ["pretrained"], classes)


def write_rows(path: Path, rows: Rows, *, config: dict, seed: int, inputs: list) -> None:
    """Store a shard of masks."""
    with store.create(path, KIND, config=config, seed=seed, inputs=inputs) as out:
        write_row_table(out, rows)


def write_row_table(out: store.Writer, rows: Rows) -> None:
    """The columns that identify rows; every artefact with a model axis carries them."""
    out.array("masks", rows.masks, ["models", "classes"], "whether the model saw the source class")
    out.array("rows", rows.rows, ["models"], "row number in the study")
    out.array("training_seeds", rows.training_seeds, ["models"], "seed of weights and data order")
    out.strings("labels", rows.labels, ["models"], "what the row is")
    out.strings("source_class_names", rows.class_names, ["classes"], "source class")


def read_row_table(file) -> Rows:
    """Read the columns that `write_row_table` wrote."""
    return Rows(
        *(file[name][:] for name in ("masks", "rows", "training_seeds")),
        store.strings(file["labels"]),
        store.strings(file["source_class_names"]),
    )


def read_rows(path: str | Path) -> Rows:
    """Read a shard of masks."""
    with store.open(path, KIND) as file:
        return read_row_table(file)
