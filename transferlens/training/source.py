"""Source training: the block of models of one shard."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h5py
import numpy as np
import torch

from transferlens.core import artefacts, job, studies
from transferlens.core.seeding import seed_for
from transferlens.core.settings import NetworkSettings
from transferlens.core.studies import Rows
from transferlens.data.pipeline import Images
from transferlens.models import contract, states
from transferlens.models.network import Network
from transferlens.training import engine, fitting, schedule
from transferlens.training.artefacts import LOG_QUANTITIES, SOURCE_MODELS, TRAINING_RECORDS
from transferlens.training.block import come_together, train_block
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.kinds import log_rows
from transferlens.training.recipes.settings.base import RecipeSettings
from transferlens.training.resumption import NOTHING, Progress
from transferlens.training.runs import Job


def train_shard(
    path: Path,
    rows: Rows,
    unit_of_image: np.ndarray,
    class_names: list[str],
    train: Images,
    val: Images,
    architecture: NetworkSettings,
    recipe: RecipeSettings,
    step_matched: bool,
    checkpoints: Sequence[int] = (),
    progress: Progress | None = None,
    at_once: int = 1,
) -> None:
    """Train every row of a shard and write weights, accuracy and training log.

    Labels are not remapped: the head has all source classes, and those outside the mask are never
    positive. Accuracy is over the val images of the classes that the model saw.

    Args:
        unit_of_image: int64[training images], the unit of the masks that each image belongs to.
        recipe: how random weights become a source model.
        step_matched: every model takes as many steps as one that sees the whole source, by further passes
            over its images; else as many as its images make in the given epochs.
        checkpoints: whole networks are also kept after so many optimiser steps.
        progress: what an interrupted job goes on from.
        at_once: how many models may be trained side by side.
    """
    labels, classes, training = train.examples.labels, len(class_names), recipe.training
    network = partial(new_network, architecture, classes, train.device)
    with (
        fitting.named(train.device, training.batch_size, train.settings.resolution),
        reserve(path, rows, class_names, architecture, log_rows(recipe)) as out,
    ):
        if checkpoints:
            states.reserve_checkpoints(out, initial_network(architecture, classes, 0), len(rows), checkpoints)

        def job_of(i: int) -> Job:
            seed = int(rows.training_seeds[i])
            of_data = seed_for(seed, "data")
            steps = schedule.steps_per_epoch(len(labels), training, of_data) if step_matched else None
            return Job(
                partial(network, seed),
                Data(train, np.flatnonzero(rows.masks[i][unit_of_image]), steps),
                recipe,
                of_data,
                checkpoints=keep_checkpoints(out, i, checkpoints),
                kept=progress.of(i) if progress else NOTHING,
            )

        models = train_block((job_of(i) for i in range(len(rows))), at_once)
        together = come_together(job_of(0), at_once)
        for i in job.progress(range(len(rows)), f"train {path.stem}", "models", together=together):
            model, seen = next(models), labels[rows.masks[i][unit_of_image]]
            out.attribute("implementation", model.implementation)
            out.file["log"][i] = model.log
            out.file["train_images"][i] = len(seen)
            save(out, i, model.network, right(model.network, val), np.isin(np.arange(classes), seen), val)
    if progress:
        progress.remove()


def keep_checkpoints(out: artefacts.Writer, row: int, steps: Sequence[int]) -> engine.Checkpoints:
    """Checkpoints that are written to the row of an artefact that has room for them."""
    return engine.Checkpoints(
        steps, partial(states.save_checkpoint, out, row), partial(states.checkpoint, out.file, row)
    )


def write_record(path: Path, source_path: Path) -> None:
    """Copy all of a shard of source models but their weights and checkpoints, which need not be kept."""
    with (
        artefacts.open(source_path, SOURCE_MODELS) as source,
        artefacts.create(path, TRAINING_RECORDS) as out,
    ):
        for field in TRAINING_RECORDS.fields:
            if field.name in source:
                out.copy(source, field.name)
        out.attribute("implementation", source.attrs["implementation"])


def initial_network(architecture: NetworkSettings, classes: int, seed: int) -> Network:
    """The randomly initialised network of a training seed."""
    torch.manual_seed(seed_for(seed, "weights"))
    return contract.build(architecture, classes)


def new_network(architecture: NetworkSettings, classes: int, device: torch.device, seed: int) -> Network:
    """The network that a training begins with, on the device."""
    network = initial_network(architecture, classes, seed)
    return network.to(device, memory_format=torch.channels_last)


def load_network(file: h5py.File, row: int, architecture: NetworkSettings, device: torch.device) -> Network:
    """The network of one row of an open shard of source models, on the device."""
    network = initial_network(architecture, len(file["source_class"]), 0)
    states.load(file, "weights", row, network)
    return network.to(device, memory_format=torch.channels_last)


@contextmanager
def reserve(
    path: Path, rows: Rows, class_names: list[str], architecture: NetworkSettings, epochs: int
) -> Iterator[artefacts.Writer]:
    """Create the artefact with room for every row; yields its writer."""
    models, classes = len(rows), len(class_names)
    with artefacts.create(path, SOURCE_MODELS) as out:
        studies.write_rows(out, rows)
        out.write("source_class", class_names)
        states.reserve(out, "weights", initial_network(architecture, classes, 0), models)
        reserve_log(out, models, epochs)
        out.reserve("train_images", (models,))
        out.reserve("accuracy", (models,))
        out.reserve("class_accuracy", (models, classes))
        yield out


def reserve_log(out: artefacts.Writer, models: int, epochs: int) -> None:
    """Room for the training logs that `engine.run` returns."""
    out.write("log_quantity", LOG_QUANTITIES)
    out.reserve("log", (models, epochs, len(LOG_QUANTITIES)))


def right(network: Network, val: Images) -> np.ndarray:
    """Whether the network, then in evaluation mode, is right on each val image, bool[images]."""
    return (engine.evaluate(network.eval(), val).argmax(1) == val.labels).cpu().numpy()


def save(
    out: artefacts.Writer, i: int, network: Network, right: np.ndarray, seen_classes: np.ndarray, val: Images
) -> None:
    """Write row i: weights, and accuracy on the val images, overall for the classes it saw.

    Args:
        right: bool[val images], whether it is right on each.
        seen_classes: bool[classes].
    """
    states.save(out, "weights", i, network)
    labels = val.examples.labels
    out.file["class_accuracy"][i] = [right[labels == c].mean() for c in range(len(seen_classes))]
    seen = seen_classes[labels]
    out.file["accuracy"][i] = right[seen].mean() if seen.any() else np.nan
