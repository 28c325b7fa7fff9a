"""Transfer: each source model of a shard adapted to one target by one recipe."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import h5py
import numpy as np
import torch
from torch import nn

from transferlens.core import artefacts, job, studies
from transferlens.core.errors import ConfigError
from transferlens.core.seeding import seed_for
from transferlens.core.settings import NetworkSettings
from transferlens.core.studies import Rows
from transferlens.data.artefacts import HALVES, write_examples
from transferlens.data.index import Index
from transferlens.data.pipeline import Images
from transferlens.models import states
from transferlens.models.network import Network
from transferlens.training import engine, fitting, moments, networks, outputs
from transferlens.training import source as sources
from transferlens.training.artefacts import OUTPUTS, SOURCE_MODELS, TRAJECTORIES, TRANSFER_RUNS
from transferlens.training.block import come_together, train_block
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.kinds import KINDS, changes_backbone, log_rows
from transferlens.training.recipes.remedies import Material
from transferlens.training.recipes.settings.base import RecipeSettings, Task
from transferlens.training.resumption import NOTHING, Kept, Progress
from transferlens.training.runs import Job, Trained


class Collector(Protocol):
    """Keeps something of every adapted model; made of the target's val images and its settings."""

    def save(self, out: artefacts.Writer, row: int, network: Network, models: int) -> None:
        """Write what is kept of the model in a row; room for all models is made with the first."""


def transfer_shard(
    path: Path,
    source_path: Path,
    target: Index,
    train: Images,
    val: Images,
    architecture: NetworkSettings,
    recipe: RecipeSettings,
    keep_weights: bool,
    metric: str,
    collectors: Sequence[Collector] = (),
    material: Material | None = None,
    checkpoints: Sequence[int] = (),
    progress: Progress | None = None,
    at_once: int = 1,
) -> None:
    """Adapt every source model of a shard and write its per-example outputs on the target's val split.

    Args:
        keep_weights: also store the whole adapted network (when the recipe changes the backbone).
        metric: what accuracy is on this target, as in `outputs.accuracies`.
        collectors: what else is kept of every adapted model.
        material: what the recipe is made of beside the target, if it asks for anything.
        checkpoints: whole networks are also kept after so many optimiser steps, and the runs are then
            TRAJECTORIES instead of TRANSFER_RUNS.
        progress: what an interrupted job goes on from.
        at_once: how many models may be trained side by side.
    """
    with (
        fitting.named(train.device, recipe.training.batch_size, train.settings.resolution),
        artefacts.open(source_path, SOURCE_MODELS) as source,
        artefacts.create(path, TRAJECTORIES if checkpoints else TRANSFER_RUNS) as out,
    ):
        rows = studies.read_rows(source)
        reserve(out, rows, target, log_rows(recipe), source)
        _write_identity(out, recipe, metric, material)
        data, classes = Data(train, np.arange(len(train)), material=material), len(target.class_names)
        require_possible(recipe, len(source["source_class"]), classes, train.examples.labels)
        if checkpoints:
            out.attribute("steps", moments.total(recipe, len(train)))
        shard = _Shard(source, architecture, recipe, data, classes, checkpoints, out, progress)
        models = train_block((shard.job(row) for row in range(len(rows))), at_once)
        together = come_together(shard.job(0), at_once)
        for i in job.progress(range(len(rows)), f"transfer {path.stem}", "models", together=together):
            model = next(models)
            out.attribute("implementation", model.implementation)
            out.file["log"][i] = model.log
            network = model.network.eval()
            _save_outputs(out, i, engine.evaluate(network, val), target, val.labels, metric)
            _save_network(out, i, network, len(rows), changes_backbone(recipe), keep_weights)
            for collector in collectors:
                collector.save(out, i, network, len(rows))
    if progress:
        progress.remove()


def require_possible(recipe: RecipeSettings, source_classes: int, classes: int, labels: np.ndarray) -> None:
    """Refuse a recipe by which these images of these classes cannot be learned."""
    counts = np.bincount(labels, minlength=classes)
    task = Task(source_classes, classes, len(labels), int(counts.min()))
    if reason := KINDS[recipe.kind].check(recipe, task):
        raise ConfigError(f"recipe '{recipe.kind}' is impossible here: {reason}")


def _write_identity(
    out: artefacts.Writer, recipe: RecipeSettings, metric: str, material: Material | None
) -> None:
    """What was done, and what the outputs mean."""
    out.attribute("metric", metric)
    out.attribute("recipe", recipe.model_dump())
    if material:
        out.write("remedy_class", material.class_names)


@dataclass(frozen=True)
class Start:
    """Where a transfer begins: the source model in a row of an open shard."""

    source: h5py.File
    row: int
    architecture: NetworkSettings

    def network(self, device: torch.device) -> Network:
        """The source model with its own head."""
        return sources.load_network(self.source, self.row, self.architecture, device)

    def job(
        self,
        data: Data,
        classes: int,
        recipe: RecipeSettings,
        checkpoints: engine.Checkpoints = engine.NONE,
        kept: Kept = NOTHING,
    ) -> Job:
        """Its transfer to a target of so many classes, with a fresh head."""
        device = data.images.device
        seed = transfer_seed(int(self.source["training_seed"][self.row]), recipe)

        def fresh() -> Network:
            network = self.network(device)
            network.head = new_head(network.head.in_features, classes, seed)
            return network.to(device)

        return Job(fresh, data, recipe, seed, lambda: self.network(device), checkpoints, kept)


def starts(paths: Sequence[Path], architecture: NetworkSettings, rows: Sequence[int]) -> Iterator[Start]:
    """The source models of a study's rows, in this order; each is open while it is its turn.

    Raises:
        ArtefactError: a damaged file, or a row that is in none of these shards.
    """
    for shard, row in networks.places(paths, rows):
        with artefacts.open(paths[shard], SOURCE_MODELS) as source:
            yield Start(source, row, architecture)


@dataclass(frozen=True)
class _Shard:
    """What the transfers of a shard have in common."""

    source: h5py.File
    architecture: NetworkSettings
    recipe: RecipeSettings
    data: Data
    classes: int
    checkpoints: Sequence[int]
    out: artefacts.Writer
    progress: Progress | None

    def job(self, row: int) -> Job:
        """The transfer of one row."""
        checkpoints = engine.Checkpoints(
            self.checkpoints, partial(self._keep, row), partial(states.checkpoint, self.out.file, row)
        )
        kept = self.progress.of(row) if self.progress else NOTHING
        start = Start(self.source, row, self.architecture)
        return start.job(self.data, self.classes, self.recipe, checkpoints, kept)

    def _keep(self, row: int, position: int, network: Network) -> None:
        if states.CHECKPOINTS not in self.out.file:
            models = len(self.source["training_seed"])
            states.reserve_checkpoints(self.out, network, models, self.checkpoints)
        states.save_checkpoint(self.out, row, position, network)


def adapt(
    network: Network, train: Images, recipe: RecipeSettings, seed: int, material: Material | None = None
) -> Trained:
    """Train a network with a fresh head on all of the target's training images (in place, in part)."""
    data = Data(train, np.arange(len(train)), material=material)
    (trained,) = train_block([Job(lambda: network, data, recipe, seed)])
    return trained


def transfer_seed(training_seed: int, recipe: RecipeSettings) -> int:
    """Decides a transfer's head, data order and augmentation; another one for every `reseed`."""
    again = (recipe.reseed,) if recipe.reseed else ()
    return seed_for(training_seed, "transfer", *again)


def new_head(features: int, classes: int, seed: int) -> nn.Linear:
    """A fresh linear head."""
    torch.manual_seed(seed_for(seed, "head"))
    return nn.Linear(features, classes)


def reserve(out: artefacts.Writer, rows: Rows, target: Index, epochs: int, source: Mapping) -> None:
    """Write what is known before the first run, and reserve room for the outputs."""
    models, val = len(rows), target.val
    studies.write_rows(out, rows)
    out.write("source_accuracy", source["accuracy"][:])
    out.write("train_images", source["train_images"][:])
    write_examples(out, val.ids, val.labels, val.halves, target.class_names)
    sources.reserve_log(out, models, epochs)
    for name in OUTPUTS:
        out.reserve(name, (models, len(val)))
    out.reserve("accuracy", (models, len(HALVES)))
    out.reserve("class_accuracy", (models, len(HALVES), len(target.class_names)))


def _save_outputs(
    out: artefacts.Writer, i: int, logits: torch.Tensor, target: Index, labels: torch.Tensor, metric: str
) -> None:
    values = outputs.per_example(logits, labels)
    for name, value in values.items():
        out.file[name][i] = value
    overall, by_class = outputs.accuracies(
        values, target.val.labels, target.val.halves, len(target.class_names), metric
    )
    out.file["accuracy"][i] = overall
    out.file["class_accuracy"][i] = by_class


def _save_network(
    out: artefacts.Writer, i: int, network: Network, models: int, changed: bool, keep: bool
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
