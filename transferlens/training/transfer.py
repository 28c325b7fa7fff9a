"""Transfer: each source model of a shard adapted to one target by one recipe."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch
from torch import nn

from transferlens.core import job, store, studies
from transferlens.core.seeding import seed_for
from transferlens.core.settings import ArchitectureSettings
from transferlens.data.index import HALVES, Index
from transferlens.data.pipeline import Images
from transferlens.models import states
from transferlens.models.architectures import Network
from transferlens.training import device as devices
from transferlens.training import engine, fitting, outputs
from transferlens.training import kept_maps as probes
from transferlens.training import source as sources
from transferlens.training.block import Job, Trained, train_block
from transferlens.training.kept_maps import Probe
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.remedies import Material
from transferlens.training.recipes.settings import RecipeSettings, changes_backbone, log_rows


def transfer_shard(
    path: Path,
    source_path: Path,
    target: Index,
    train: Images,
    val: Images,
    architecture: ArchitectureSettings,
    recipe: RecipeSettings,
    keep_weights: bool,
    metric: str,
    probe: Probe | None = None,
    material: Material | None = None,
    checkpoints: Sequence[int] = (),
    *,
    config: dict,
    inputs: list,
) -> None:
    """Adapt every source model of a shard and write its per-example outputs on the target's val split.

    Args:
        keep_weights: also store the whole adapted network (when the recipe changes the backbone).
        metric: what accuracy is on this target, as in `outputs.accuracies`.
        probe: examples whose evidence maps are kept of every model; None for none.
        material: what the recipe is made of beside the target, if it asks for anything.
        checkpoints: whole networks are also kept after so many optimiser steps.
    """
    with (
        fitting.named(train.device, recipe.training.batch_size, train.settings.resolution),
        store.open(source_path, sources.KIND) as source,
        store.create(
            path, outputs.KIND, config=config, inputs=inputs, device=devices.name(train.device)
        ) as out,
    ):
        rows = studies.read_row_table(source)
        reserve(out, rows, target, log_rows(recipe), source)
        _write_identity(out, recipe, metric, material)
        data, classes = Data(train, np.arange(len(train)), material=material), len(target.class_names)
        shard = _Shard(source, architecture, recipe, data, classes, checkpoints, out)
        models = train_block(shard.job(row) for row in range(len(rows)))
        for i in job.progress(range(len(rows)), f"transfer {path.stem}", "models"):
            model = next(models)
            out.attribute("implementation", model.implementation)
            out.file["log"][i] = model.log
            network = model.network.eval()
            _save_outputs(out, i, engine.evaluate(network, val), target, val.labels, metric)
            _save_network(out, i, network, len(rows), changes_backbone(recipe), keep_weights)
            if probe:
                probes.save(out, i, network, probe, len(rows))


def _write_identity(
    out: store.Writer, recipe: RecipeSettings, metric: str, material: Material | None
) -> None:
    """What was done, and what the outputs mean."""
    out.attribute("metric", metric)
    out.attribute("recipe", recipe.model_dump())
    if material:
        out.strings("remedy_classes", material.class_names, ["remedied"], "source class used by the remedy")


@dataclass(frozen=True)
class _Shard:
    """What the transfers of a shard have in common."""

    source: h5py.File
    architecture: ArchitectureSettings
    recipe: RecipeSettings
    data: Data
    classes: int
    checkpoints: Sequence[int]
    out: store.Writer

    def job(self, row: int) -> Job:
        """The transfer of one row."""
        seed = seed_for(int(self.source["training_seeds"][row]), "transfer")
        return Job(
            lambda: self._network(row, seed),
            self.data,
            self.recipe,
            seed,
            lambda: self._source(row),
            engine.Checkpoints(self.checkpoints, partial(self._keep, row)),
        )

    def _source(self, row: int) -> Network:
        return sources.load_network(self.source, row, self.architecture, self.data.images.device)

    def _network(self, row: int, seed: int) -> Network:
        """The source model with a fresh head for the target's classes."""
        network = self._source(row)
        network.head = new_head(network.head.in_features, self.classes, seed)
        return network.to(self.data.images.device)

    def _keep(self, row: int, position: int, network: Network) -> None:
        if states.CHECKPOINTS not in self.out.file:
            models = len(self.source["training_seeds"])
            states.reserve_checkpoints(self.out, network, models, self.checkpoints)
        states.save_checkpoint(self.out, row, position, network)


def adapt(
    network: Network, train: Images, recipe: RecipeSettings, seed: int, material: Material | None = None
) -> Trained:
    """Train a network with a fresh head on all of the target's training images (in place, in part)."""
    data = Data(train, np.arange(len(train)), material=material)
    (trained,) = train_block([Job(lambda: network, data, recipe, seed)])
    return trained


def new_head(features: int, classes: int, seed: int) -> nn.Linear:
    """A fresh linear head."""
    torch.manual_seed(seed_for(seed, "head"))
    return nn.Linear(features, classes)


def reserve(out: store.Writer, rows, target: Index, epochs: int, source: Mapping) -> None:
    """Write what is known before the first run, and reserve room for the outputs."""
    models, classes, examples = len(rows), len(target.class_names), target.val
    studies.write_row_table(out, rows)
    out.array("source_accuracy", source["accuracy"][:], ["models"], "accuracy of the source model")
    out.array("train_images", source["train_images"][:], ["models"], "source images an epoch")
    write_examples(out, target)
    sources.reserve_log(out, models, epochs)
    for name, (dtype, meaning) in outputs.OUTPUTS.items():
        out.empty(
            f"outputs/{name}",
            (models, len(examples)),
            dtype,
            ["models", "examples"],
            meaning,
            outputs.UNITS.get(name),
        )
    out.empty("accuracy", (models, 2), np.float64, ["models", "halves"], "accuracy (halves: select, report)")
    out.empty(
        "class_accuracy",
        (models, 2, classes),
        np.float64,
        ["models", "halves", "target classes"],
        "accuracy on examples of the class",
    )


def write_examples(out: store.Writer, target: Index) -> None:
    """The columns that identify target examples and classes."""
    out.strings("target_class_names", target.class_names, ["target classes"], "target class")
    out.strings("example_ids", target.val.ids, ["examples"], "the data set's own example id")
    out.array("example_labels", target.val.labels, ["examples"], "index into target_class_names")
    out.array("example_halves", target.val.halves, ["examples"], f"index into {HALVES}")


def _save_outputs(
    out: store.Writer, i: int, logits: torch.Tensor, target: Index, labels, metric: str
) -> None:
    values = outputs.per_example(logits, labels)
    for name, value in values.items():
        out.file[f"outputs/{name}"][i] = value
    overall, by_class = outputs.accuracies(
        values["correct"], target.val.labels, target.val.halves, len(target.class_names), metric
    )
    out.file["accuracy"][i] = overall
    out.file["class_accuracy"][i] = by_class


def _save_network(
    out: store.Writer, i: int, network: Network, models: int, changed: bool, keep: bool
) -> None:
    """Store the target head of every run, and the whole network if asked."""
    if i == 0:
        states.reserve(out, "head", network.head, models)
        out.attribute("backbone_changed", int(changed))
        if changed and keep:
            states.reserve(out, "weights", network, models)
    states.save(out, "head", i, network.head)
    if changed and keep:
        states.save(out, "weights", i, network)
