"""How fast this machine trains: from finished jobs of a results folder, or from a few real steps."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from transferlens.core import store
from transferlens.core.errors import ArtefactError
from transferlens.core.settings import ArchitectureSettings, InputSettings, TrainingSettings
from transferlens.data.pipeline import ResidentImages
from transferlens.models import architectures
from transferlens.operations.plan import Data, transfers_of
from transferlens.training import device as devices
from transferlens.training import engine, outputs, schedule, source, transfer
from transferlens.training.recipes import settings as recipes
from transferlens.training.recipes.settings import FullSettings, RecipeSettings

_LONG_ENOUGH = 0.3  # seconds of one measurement
_CLASSES = 100
# The training settings that the time of a step depends on.
_COSTLY = ("batch_size", "precision", "crop", "padding", "flip")


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
    cached = recipes.caches_features(recipe)
    steps = schedule.steps_per_epoch(train, recipe.training) * recipe.training.epochs
    batch = min(recipe.training.batch_size, train) * (1 + recipes.KINDS[recipe.kind].images_beside)
    return Work(steps, batch, val + train * cached)


def mean_scale(training: TrainingSettings, resolution: int) -> float:
    """Pixels of a training image over those of an evaluation image, on average over the epochs."""
    sides = [schedule.resolution(training.resize, epoch, resolution) for epoch in range(training.epochs)]
    return float(np.mean(np.square(sides))) / resolution**2


class _RandomImages(ResidentImages):
    """Images that need no file, through the real augmentation."""

    def __init__(self, count: int, settings: InputSettings, device: torch.device):
        self.settings, self.device, self.count = settings, device, count
        self.labels = torch.arange(count, device=device) % _CLASSES
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


class Probe:
    """A few real steps on random images on this machine's device. Decoding is no part of it."""

    def __init__(self, architecture: ArchitectureSettings, images: InputSettings, place: torch.device):
        self.images, self.place = images, place
        self.network = architectures.build(architecture, _CLASSES).to(
            place, memory_format=torch.channels_last
        )

    def training(self, training: TrainingSettings) -> float:
        """Seconds for one image of a step at the evaluation resolution."""
        training = training.model_copy(update={"resize": None, "iterations": None})

        def steps(images: _RandomImages, batch: int, number: int) -> None:
            positions = np.arange(len(images))
            self.network.train()
            short = training.model_copy(update={"epochs": number, "batch_size": batch})
            engine.train(self.network, self.network.parameters(), images, positions, short, 0, 1)

        return self._seconds_an_image(steps, training.batch_size)

    def adaptation(self, recipe: RecipeSettings) -> tuple[float, float]:
        """Seconds for one step and for one image of a step of a recipe; one of them is zero.

        Heads on cached features take about the same for a step of any size, networks for an image. What is
        made of source images, which are none here, counts as full fine-tuning.
        """
        plain = FullSettings() if recipes.KINDS[recipe.kind].made_of_source else recipe

        def steps(images: _RandomImages, batch: int, number: int) -> None:
            changes = {"epochs": number, "batch_size": batch, "resize": None, "iterations": None}
            short = plain.model_copy(update={"training": recipe.training.model_copy(update=changes)})
            transfer.adapt(self.network, images, short, 0)

        if recipes.caches_features(recipe):
            images = _RandomImages(8, self.images, self.place)
            steps(images, 8, 1)
            few, many = (_seconds(lambda n=n: steps(images, 8, n)) for n in (1, 101))
            return max(many - few, 0.0) / 100, 0.0
        return 0.0, self._seconds_an_image(steps, recipe.training.batch_size)

    def evaluation(self) -> float:
        """Seconds for an image that is only passed through."""
        self.network.eval()
        return self._seconds_an_image(
            lambda images, batch, number: [engine.evaluate(self.network, images) for _ in range(number)], 256
        )

    def _seconds_an_image(self, steps, largest: int) -> float:
        """Seconds for an image of a step, at the largest batch up to `largest` that is not too slow."""
        batch = min(largest, 8)
        while True:
            images = _RandomImages(batch, self.images, self.place)
            steps(images, batch, 1)  # once to warm up
            seconds = _seconds(lambda images=images, batch=batch: steps(images, batch, 1))
            if seconds > _LONG_ENOUGH or batch == largest:
                break
            batch = min(largest, 4 * batch)
        number = max(1, round(_LONG_ENOUGH / seconds))
        return _seconds(lambda: steps(images, batch, number)) / (number * batch)


def _seconds(function) -> float:
    """Wall-clock time of a call that leaves nothing running on the device."""
    started = time.perf_counter()
    function()
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter() - started


def name_of(place: torch.device) -> str:
    return "a CPU thread" if place.type == "cpu" else devices.name(place)


@dataclass(frozen=True)
class Finished:
    """Finished jobs: how many models they made, and how many seconds that took in all."""

    models: int
    seconds: float


def finished_training(folder: Path, study: str, settings: Mapping) -> Finished:
    """Jobs of this folder that trained this study with these settings."""
    return _finished(
        sorted((folder / "benchmarks/train_source").glob(f"{study}-[0-9][0-9][0-9][0-9].tsv")),
        lambda shard: folder / f"studies/{study}/training/{shard}.h5",
        source.RECORD_KIND,
        settings,
    )


def finished_transfers(folder: Path, study: str, target: str, recipe: str, settings: Mapping) -> Finished:
    """Jobs of this folder that transferred this study to a target with these settings."""
    pattern = f"{study}-{target}-{recipe}-[0-9][0-9][0-9][0-9].tsv"
    return _finished(
        sorted((folder / "benchmarks/transfer").glob(pattern)),
        lambda shard: folder / f"studies/{study}/transfer/{target}/{recipe}/{shard}.h5",
        outputs.KIND,
        settings,
    )


def _finished(timings: Sequence[Path], artefact, kind: str, settings: Mapping) -> Finished:
    models = seconds = 0
    for timing in timings:
        try:
            with store.open(artefact(timing.stem[-4:]), kind) as file:
                same = {k: v for k, v in store.settings(file).items() if k in settings} == settings
                made = len(file["rows"])
        except ArtefactError:
            continue  # not there, or damaged: no evidence
        if same:
            models += made
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


def hours(given: Mapping, data: Mapping[str, Data], folder: Path, place: torch.device) -> dict[str, Hours]:
    """Time of source training, and of the transfers by each recipe."""
    found = {"source training": Hours()}
    measure = _Measured(given, place)
    for name, study in given["studies"].items():
        if study["share"] is not None and data[given["source"]].countable:
            done = finished_training(folder, name, measure.source_settings(study))
            seconds = partial(measure.source, study, data[given["source"]])
            found["source training"].add(study["rows"], done, seconds)
        for target, recipe, rows, _ in transfers_of(study):
            if data[target].countable:
                settings = measure.transfer_settings(study, target, recipe)
                done = finished_transfers(folder, name, target, recipe, settings)
                seconds = partial(measure.transfer, {**study, "rows": rows}, target, recipe, data[target])
                found.setdefault(f"transfers, {recipe}", Hours()).add(rows, done, seconds)
    return found


class _Measured:
    """Seconds of whole studies, from steps measured once for each network and way of training."""

    def __init__(self, given: Mapping, place: torch.device):
        self.given, self.place = given, place
        self.known: dict[str, object] = {}

    def source_settings(self, study: Mapping) -> dict:
        return {
            "architecture": study["architecture"],
            "input": self.given["input"][self.given["source"]],
            "training": self.given["source_training"],
            "step_matched": study["step_matched"],
        }

    def transfer_settings(self, study: Mapping, target: str, recipe: str) -> dict:
        return {
            "architecture": study["architecture"],
            "input": self.given["input"][target],
            "recipe": self.given["recipes"][f"{target}/{recipe}"],
        }

    def source(self, study: Mapping, images: Data) -> float:
        """Seconds of training all models of a study."""
        settings = self.source_settings(study)
        training, resolution = TrainingSettings.read(settings["training"]), settings["input"]["resolution"]
        work = source_work(training, images.train, study["share"], study["step_matched"], images.val)
        each = self._once("training", settings, _COSTLY, lambda probe: probe.training(training))
        trained = work.steps * work.batch * mean_scale(training, resolution) * each
        return study["rows"] * (trained + work.evaluated * self._evaluation(settings))

    def transfer(self, study: Mapping, target: str, recipe: str, images: Data) -> float:
        """Seconds of adapting all models of a study to a target."""
        settings = self.transfer_settings(study, target, recipe)
        how = recipes.read(settings["recipe"])
        work = transfer_work(how, images.train, images.val)
        of_step, of_image = self._once("recipe", settings, _COSTLY, lambda probe: probe.adaptation(how))
        scale = mean_scale(how.training, settings["input"]["resolution"])
        trained = work.steps * (of_step + work.batch * scale * of_image)
        return study["rows"] * (trained + work.evaluated * self._evaluation(settings))

    def _evaluation(self, settings: Mapping) -> float:
        return self._once("evaluation", settings, (), lambda probe: probe.evaluation())

    def _once(self, what: str, settings: Mapping, keys: Sequence[str], measure):
        """A measurement, made once for all settings that agree in what costs time."""
        training = settings.get("training") or settings["recipe"]["training"]
        kind = (
            {k: v for k, v in settings.get("recipe", {}).items() if k not in ("training", "remedy")}
            if keys
            else {}
        )
        costly = [what, settings["architecture"], settings["input"]["resolution"], kind]
        key = json.dumps([*costly, [training[k] for k in keys]], sort_keys=True)
        if key not in self.known:
            architecture = ArchitectureSettings.read(settings["architecture"])
            images = InputSettings.read(settings["input"])
            self.known[key] = measure(Probe(architecture, images, self.place))
        return self.known[key]
