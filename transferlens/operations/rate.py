"""How fast this machine trains: from finished jobs of a results folder, or from a few real steps."""

import json
import time
from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from transferlens.core import artefacts
from transferlens.core.artefacts import RESULTS, Artefact
from transferlens.core.capability import Trainings, Transfer, Wildcards
from transferlens.core.errors import ArtefactError
from transferlens.core.run import Run
from transferlens.core.settings import (
    InputSettings,
    NetworkSettings,
    SourceTrainingSettings,
    TrainingSettings,
)
from transferlens.core.studies import Study
from transferlens.data.pipeline import ResidentImages
from transferlens.models import contract
from transferlens.operations.datasets import Data
from transferlens.operations.sizes import Sizes
from transferlens.training import device as devices
from transferlens.training import engine, schedule
from transferlens.training.artefacts import TRAINING_RECORDS, TRANSFER_RUNS
from transferlens.training.block import implementation, train_block
from transferlens.training.capability import TRAIN_SOURCE, TRANSFER
from transferlens.training.grouped import GROUPED
from transferlens.training.recipes import kinds as recipes
from transferlens.training.recipes.base import Data as TargetData
from transferlens.training.recipes.settings.base import RecipeSettings, Task
from transferlens.training.recipes.settings.objectives import of_source
from transferlens.training.recipes.settings.plain import FullSettings
from transferlens.training.runs import Job

_LONG_ENOUGH = 0.3  # seconds of one measurement
_CLASSES, _FEW = 100, 8  # classes of random images, and how many are tried with first
# Training settings.
_COSTLY = ("batch_size", "precision", "implementation", "optimizer", "crop", "padding", "flip")


@dataclass(frozen=True)
class Work:
    """What training and evaluating one model takes.

    Attributes:
        steps: optimiser steps.
        batch: images a step.
        evaluated: images passed through the network without training.
    """

    steps: float
    batch: int
    evaluated: int


def source_work(training: TrainingSettings, images: int, share: float, step_matched: bool, val: int) -> Work:
    """Training one source model on a share of the source's images, and evaluating it.

    Progressive resizing counts smaller images for less.
    """
    seen = round(images * share)
    batch = min(training.batch_size, max(seen, 1))
    steps = 0 if not seen else schedule.steps_per_epoch(images if step_matched else seen, training)
    return Work(steps * training.epochs, batch, val)


def transfer_work(recipe: RecipeSettings, train: int, val: int) -> Work:
    """Adapting one model to a target, and evaluating it; cached features are computed once.

    Images beside the batch count like its own.
    """
    kind = recipes.KINDS[recipe.kind]
    of_head = kind.head_epochs(recipe) * kind.runs
    cached = recipes.caches_features(recipe) or of_head > 0
    steps = schedule.steps_per_epoch(train, recipe.training) * (recipes.log_rows(recipe) - of_head)
    batch = min(recipe.training.batch_size, train) * (1 + kind.images_beside)
    return Work(steps, batch, val + train * cached)


def mean_scale(training: TrainingSettings, resolution: int) -> float:
    """Pixels of a training image over those of an evaluation image, on average over the epochs."""
    sides = [schedule.resolution(training.resize, epoch, resolution) for epoch in range(training.epochs)]
    return float(np.mean(np.square(sides))) / resolution**2


class RandomImages(ResidentImages):
    """Images that need no file, through the real augmentation."""

    def __init__(self, count: int, settings: InputSettings, device: torch.device, classes: int = _CLASSES):
        self.settings, self.device, self.count = settings, device, count
        self.labels = torch.arange(count, device=device) % classes
        self._mean = torch.tensor(settings.mean, device=device)
        self._std = torch.tensor(settings.std, device=device)
        self._random: dict[int, torch.Tensor] = {}

    def __len__(self) -> int:
        return self.count

    def _bytes(self, resolution: int, crop_ratio: float) -> torch.Tensor:
        if resolution not in self._random:
            shape = (self.count, resolution, resolution, 3)
            self._random[resolution] = torch.randint(0, 256, shape, dtype=torch.uint8, device=self.device)
        return self._random[resolution]


class Trial:
    """A few real steps on random images on this machine's device. Decoding is no part of it.

    Args:
        at_once: how many models a job may train side by side.
    """

    def __init__(
        self, architecture: NetworkSettings, images: InputSettings, place: torch.device, at_once: int = 1
    ):
        self.images, self.place, self.at_once = images, place, at_once
        self.network = contract.build(architecture, _CLASSES).to(place, memory_format=torch.channels_last)

    def training(self, training: TrainingSettings) -> float:
        """Seconds for one image of a step of a source model at the evaluation resolution."""
        return self.adaptation(FullSettings(training=training))[1]

    def adaptation(self, recipe: RecipeSettings) -> tuple[float, float]:
        """Seconds for one step and for one image of a step of a recipe; one of them is zero.

        Heads on cached features take about the same for a step of any size, networks for an image. What is
        made of source images, which are none here, counts as full fine-tuning, and so does what begins with
        more target images than are tried with (probes, relationships), and has the steps of the former.
        """
        kind, few = recipes.KINDS[recipe.kind], Task(_CLASSES, _CLASSES, _FEW, 0)
        plain = FullSettings() if kind.asked_for_by or kind.check(recipe, few) else recipe

        def job(images: RandomImages, batch: int, number: int) -> Job:
            changes = {"epochs": number, "batch_size": batch, "resize": None, "iterations": None}
            short = plain.model_copy(update={"training": recipe.training.model_copy(update=changes)})
            data = TargetData(images, np.arange(len(images)))
            network = partial(deepcopy, self.network)  # a recipe may change what it is given
            return Job(network, data, short, 0, network)

        tried = job(RandomImages(_FEW, self.images, self.place), _FEW, 1)
        alike = recipe.training.resize is None and implementation(tried, self.at_once) == GROUPED
        models = self.at_once if alike else 1

        def steps(images: RandomImages, batch: int, number: int) -> None:
            list(train_block([job(images, batch, number)] * models, self.at_once))

        if recipes.caches_features(recipe):
            images = RandomImages(_FEW, self.images, self.place)
            steps(images, _FEW, 1)
            short, long = (_seconds(lambda n=n: steps(images, _FEW, n)) for n in (1, 101))
            return max(long - short, 0.0) / 100, 0.0
        return 0.0, self._seconds_an_image(steps, recipe.training.batch_size) / models

    def evaluation(self) -> float:
        """Seconds for an image that is only passed through."""
        self.network.eval()
        return self._seconds_an_image(
            lambda images, batch, number: [engine.evaluate(self.network, images) for _ in range(number)], 256
        )

    def _seconds_an_image(self, steps: Callable[[RandomImages, int, int], Any], largest: int) -> float:
        """Seconds for an image of a step, at the largest batch up to `largest` that is not too slow."""
        batch = min(largest, _FEW)
        while True:
            images = RandomImages(batch, self.images, self.place)
            steps(images, batch, 1)  # once to warm up
            seconds = _seconds(lambda images=images, batch=batch: steps(images, batch, 1))
            if seconds > _LONG_ENOUGH or batch == largest:
                break
            batch = min(largest, 4 * batch)
        number = max(1, round(_LONG_ENOUGH / seconds))
        return _seconds(lambda: steps(images, batch, number)) / (number * batch)


def _seconds(function: Callable[[], Any]) -> float:
    """Wall-clock time of a call that leaves nothing running on the device."""
    started = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def name_of(place: torch.device) -> str:
    """What a rate is stated for, in words."""
    return "a CPU thread" if place.type == "cpu" else devices.name(place)


@dataclass(frozen=True)
class Finished:
    """Finished jobs: how many models they made, and how many seconds that took in all."""

    models: int
    seconds: float


def finished(run: Run, step: str, jobs: Iterable[Wildcards], made: Artefact, results: Path) -> Finished:
    """What is known of jobs of a step that a results folder holds, made with this run's settings."""
    models = seconds = 0
    for wildcards in jobs:
        timing = results / Path(run.benchmark_of(step).format(**wildcards)).relative_to(RESULTS)
        if not timing.exists():
            continue
        try:
            with artefacts.open(results / made.path.format(**wildcards), made) as file:
                same = artefacts.settings_of(file) == json.loads(run.settings_of(step, wildcards))
                rows = len(file["model"])
        except ArtefactError:
            continue  # not there, or damaged: no evidence
        if same:
            models += rows
            seconds += float(pd.read_csv(timing, sep="\t")["s"].mean())
    return Finished(models, seconds)


@dataclass
class Hours:
    """Time of one kind of job.

    Attributes:
        models: how many models are trained, or transferred.
        seconds: in all.
        finished: of how many of these models the time is known from finished jobs of the folder.
    """

    models: int = 0
    seconds: float = 0.0
    finished: int = 0

    def add(self, models: int, done: Finished, measured: Callable[[], float]) -> None:
        """Add a study: by its finished jobs if it has any, else as measured."""
        self.models += models
        self.finished += min(done.models, models)
        self.seconds += done.seconds * models / done.models if done.models else measured()


def hours(run: Run, data: Mapping[str, Data], results: Path, place: torch.device) -> dict[str, Hours]:
    """Time of source training, and of the transfers by each recipe."""
    spent, measured = {"source training": Hours()}, _Measured(run, data, place)
    for study in run.studies.values():
        if study.loads is None and data[run.source].countable:
            jobs = [{"study": study.name, "shard": shard} for shard in study.shards]
            done = finished(run, TRAIN_SOURCE.name, jobs, TRAINING_RECORDS, results)
            spent["source training"].add(study.rows, done, partial(measured.source, study))
    for needed in run.transfers.values():
        if data[needed.target].countable:
            names = {"study": needed.study, "target": needed.target, "recipe": needed.recipe}
            jobs = [{**names, "shard": shard} for shard in run.transfer_shards(**names)]
            done = finished(run, TRANSFER.name, jobs, TRANSFER_RUNS, results)
            rows = rows_of(run, needed)
            work = spent.setdefault(f"transfers, {needed.recipe}", Hours())
            work.add(rows, done, partial(measured.transfer, needed, rows))
    for asked in (asked for capability in run.capabilities for asked in capability.trainings(run)):
        if data[asked.target].countable:
            work = spent.setdefault(f"{asked.name}, {asked.recipe}", Hours())
            work.add(asked.models, Finished(0, 0.0), partial(measured.training, asked))
    return spent


def rows_of(run: Run, transfer: Transfer) -> int:
    """How many models a transfer adapts: whole shards of them."""
    study = run.studies[transfer.study]
    shards = run.transfer_shards(transfer.study, transfer.target, transfer.recipe)
    return sum(len(study.rows_of(shard)) for shard in shards)


class _Measured:
    """Seconds of whole studies, from steps measured once for each network and way of training."""

    def __init__(self, run: Run, data: Mapping[str, Data], place: torch.device):
        self.run, self.data, self.place = run, data, place
        self.known: dict[str, Any] = {}

    def source(self, study: Study) -> float:
        """Seconds of training all models of a study."""
        training, images = self.run.settings.source_training, self.data[self.run.source]
        network = self._network(study.name, self.run.source)
        units = Sizes(self.run, self.data).units(study.masks["units"]) or 1
        seen = study.share_seen(units)
        work = source_work(training, images.train, seen, study.step_matched, images.val)
        each = self._image_of_source(network, training)
        trained = work.steps * work.batch * mean_scale(training, network.images.resolution) * each
        return study.rows * (trained + work.evaluated * self._evaluation(network))

    def _image_of_source(self, network: "_Network", training: SourceTrainingSettings) -> float:
        """Seconds for an image of a step of source training: with its views, or attacks on it."""
        plain = training.supervised()
        if training.objective == "supervised":
            return self._once(network, "training", _costly(plain), lambda trial: trial.training(plain))
        how = of_source(training)
        kind = {**how.model_dump(exclude={"training", "probe"}), **_costly(plain)}
        return self._once(network, "recipe", kind, lambda trial: trial.adaptation(how))[1]

    def transfer(self, transfer: Transfer, rows: int) -> float:
        """Seconds of adapting so many models of a study to a target."""
        images = self.data[transfer.target]
        return rows * self._adaptation(transfer, images.train, images.val)

    def training(self, asked: Trainings) -> float:
        """Seconds of the models that a step adapts itself, each evaluated on the images it is not trained on
        or on the target's own, once or several times."""
        images = self.data[asked.target]
        train = round(asked.share * images.train)
        evaluated = images.train - train if asked.share < 1 else images.val
        evaluated = round(asked.evaluations * evaluated)
        return asked.models * asked.epochs * self._adaptation(asked, train, evaluated)

    def _adaptation(self, asked: Transfer | Trainings, train: int, evaluated: int) -> float:
        """Seconds of adapting a model to so many images of a target."""
        how = self.run.recipe_section(self.run.recipe(asked.target, asked.recipe), "")
        network = self._network(asked.study, asked.target)
        work = transfer_work(how, train, evaluated)
        kind = {**how.model_dump(exclude={"training"}), **_costly(how.training)}
        of_step, of_image = self._once(network, "recipe", kind, lambda trial: trial.adaptation(how))
        scale = mean_scale(how.training, network.images.resolution)
        trained = work.steps * (of_step + work.batch * scale * of_image)
        return trained + work.evaluated * self._evaluation(network)

    def _network(self, study: str, dataset: str) -> "_Network":
        return _Network(
            NetworkSettings.read(self.run.architecture_of(study)),
            InputSettings.read(self.run.input_of(dataset, study)),
        )

    def _evaluation(self, network: "_Network") -> float:
        return self._once(network, "evaluation", {}, lambda trial: trial.evaluation())

    def _once(self, network: "_Network", what: str, costly: Mapping, measure: Callable[[Trial], Any]) -> Any:
        """A measurement, made once for all settings that agree in what costs time."""
        size = network.images.resolution
        key = json.dumps([what, network.architecture.model_dump(), size, costly], sort_keys=True)
        if key not in self.known:
            self.known[key] = measure(self._trial(network))
        return self.known[key]

    def _trial(self, network: "_Network") -> Trial:
        return Trial(network.architecture, network.images, self.place, self.run.settings.models_at_once)


@dataclass(frozen=True)
class _Network:
    """A network, and how images enter it."""

    architecture: NetworkSettings
    images: InputSettings


def _costly(training: TrainingSettings) -> dict[str, Any]:
    """The training settings that the time of a step depends on."""
    return training.model_dump(include=set(_COSTLY))
