"""What a training step of a recipe costs beside one of the plain recipe.

Steps are those of the real loop, on the target's own images with their augmentation and on the study's own
network, by the chosen settings. The plain recipe is as it is written, with the batch size that was chosen
for the other: batches of different sizes could not be compared. What a recipe does once, before its first
step (a probe, a relationship of classes, features), is not in it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferlens.comparison.measures.artefacts import COST
from transferlens.core import artefacts
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.models.network import Network
from transferlens.training import device, networks, schedule, transfer, turns
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.kinds import KINDS, caches_features
from transferlens.training.recipes.settings.base import RecipeSettings
from transferlens.training.runs import Job
from transferlens.training.turns import Cost, NotMeasured

ROUNDS = 7
_MEMORY = "what torch holds during a step, beyond images and network"


@dataclass(frozen=True)
class Subject:
    """What steps are taken on: a source model, and the target's training images.

    Attributes:
        source, index, train: their files.
        row: of the model in its study.
        architecture, input: settings of the network and of how images enter it.
    """

    source: Path
    row: int
    index: Path
    train: Path
    architecture: Mapping[str, Any]
    input: Mapping[str, Any]
    place: torch.device

    def job(self, recipe: RecipeSettings) -> Job:
        """A transfer by a recipe, in a process of its own."""
        _take(self.place)
        target = index.read_index(self.index)
        given = InputSettings.read(self.input)
        images = pipeline.open_images(self.train, target.train, given, self.place)
        data = Data(images, np.arange(len(images)))
        classes = len(target.class_names)
        return Job(partial(self._network, classes), data, recipe, self.row, self._source)

    def _source(self) -> Network:
        architecture = NetworkSettings.read(self.architecture)
        return next(networks.source_networks([self.source], architecture, self.place, [self.row]))

    def _network(self, classes: int) -> Network:
        network = self._source()
        network.head = transfer.new_head(network.head.in_features, classes, self.row)
        return network.to(self.place)


def _take(place: torch.device) -> None:
    """Compute as the job's process does, and where it does."""
    if place.type == "cuda":
        torch.cuda.set_device(place)
        device.repeat_exactly()
    else:
        device.pick()


def with_batch_of(plain: RecipeSettings, other: RecipeSettings) -> RecipeSettings:
    """The plain recipe with the batch size of another."""
    training = plain.training.model_copy(update={"batch_size": other.training.batch_size})
    return plain.model_copy(update={"training": training})


def measure(subject: Subject, recipe: RecipeSettings, plain: RecipeSettings) -> tuple[list[Cost], str]:
    """Costs of the recipe and of the plain one, and what must be known of them ('' for nothing)."""
    both = recipe, with_batch_of(plain, recipe)
    images = len(index.read_index(subject.index).train)
    rounds = min(ROUNDS, *(steps_of(one, images) - turns.WARM_UP for one in both))
    try:
        if rounds < 1:
            raise NotMeasured(f"a run has {turns.WARM_UP} steps at most, and these warm up")
        return turns.by_turns([partial(subject.job, one) for one in both], rounds), note_of(recipe)
    except NotMeasured as reason:
        return [Cost(np.zeros(0), np.nan)] * 2, f"not measured: {reason}"


def steps_of(recipe: RecipeSettings, images: int) -> int:
    """Optimiser steps of a run on so many images, at least."""
    return KINDS[recipe.kind].epochs(recipe) * schedule.steps_per_epoch(images, recipe.training)


def note_of(recipe: RecipeSettings) -> str:
    """What steps of a recipe are of, where it is not the whole network."""
    return "its features are computed once: steps are of the head alone" if caches_features(recipe) else ""


def write_cost(path: Path, subject: Subject, recipe: RecipeSettings, plain: RecipeSettings) -> None:
    """Measure steps of a recipe and of the plain one, by turns, and store what they cost."""
    (own, other), note = measure(subject, recipe, plain)
    with artefacts.create(path, COST) as out:
        out.write("round", np.arange(len(own.seconds)))
        for start, cost in (("", own), ("plain_", other)):
            out.write(f"{start}seconds", cost.seconds)
            out.write(f"{start}peak", cost.peak)
        out.attribute("note", note)
        out.attribute("memory", _MEMORY)
