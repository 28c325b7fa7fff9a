"""Two source models of textures, each beside one from scratch, and what they were adapted to."""

from pathlib import Path
from typing import NamedTuple

import torch

from tests.conftest import ARCHITECTURE, CLASSES, INPUT, TRAINING, changed, rows_of
from transferlens.data import pipeline
from transferlens.data.index import Index
from transferlens.data.pipeline import Images
from transferlens.training import networks, source, transfer
from transferlens.training.recipes.settings.plain import FixedSettings, FullSettings

CPU = torch.device("cpu")
MASKS = [[1, 1, 1], [0, 0, 0]] * 2
SHORT = changed(TRAINING, epochs=4)
RECIPES = {"full": FullSettings(training=SHORT), "fixed": FixedSettings(training=SHORT)}
KEPT = [0, 2]  # rows that saw the source


class Study(NamedTuple):
    """Files and images of it, and the transfer runs by recipe."""

    betons: dict[str, Path]
    dataset: Index
    train: Images
    val: Images
    sources: list[Path]
    transfers: dict[str, list[Path]]

    def adapted(self, recipe: str, rows=KEPT):
        return networks.adapted_networks(self.sources, self.transfers[recipe], ARCHITECTURE, CPU, rows)

    def models(self, rows=KEPT):
        return networks.source_networks(self.sources, ARCHITECTURE, CPU, rows)


def study_of(dataset, folder: Path, recipes=RECIPES) -> Study:
    """In two shards of a folder; `dataset` is the fixture."""
    made, files = dataset
    train, val = (pipeline.open_images(files["raw"][s], made.split(s), INPUT, CPU) for s in ("train", "val"))
    sources, transfers = [], {name: [] for name in recipes}
    for first in (0, 2):
        path = folder / f"source-{first}.h5"
        table, labels = rows_of(MASKS[:2], range(first, first + 2), first), train.examples.labels
        full = RECIPES["full"]
        source.train_shard(path, table, labels, list(CLASSES), train, val, ARCHITECTURE, full, False)
        sources.append(path)
        for name, recipe in recipes.items():
            runs = folder / f"{name}-{first}.h5"
            transfer.transfer_shard(runs, path, made, train, val, ARCHITECTURE, recipe, True, "global")
            transfers[name].append(runs)
    return Study(files["raw"], made, train, val, sources, transfers)
