"""How far the layers of models move while they are adapted: numbers alone are kept, no network is."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from transferlens.core import artefacts, job, studies
from transferlens.core.settings import NetworkSettings
from transferlens.data.artefacts import HALVES
from transferlens.data.index import Index
from transferlens.data.pipeline import Images
from transferlens.dynamics.activity.measured import Layer, look
from transferlens.dynamics.activity.probes import Probe
from transferlens.dynamics.drift.artefacts import DRIFTS
from transferlens.dynamics.similarity import cka, minibatch
from transferlens.models.network import Network
from transferlens.training import engine, fitting, moments, outputs, recipes
from transferlens.training.artefacts import SOURCE_MODELS
from transferlens.training.block import train_block
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.settings.base import RecipeSettings
from transferlens.training.resumption import Progress
from transferlens.training.runs import Job, Trained
from transferlens.training.transfer import Start, require_possible

# Probe images that a class needs for a retention of its own.
FEWEST_IMAGES = 32
_REPORT = HALVES.index("report")


@dataclass(frozen=True)
class Ground:
    """What models are adapted to, and looked at on.

    Attributes:
        target: the index of the target.
        train, val: its images.
        metric: what accuracy is on it, as in `outputs.accuracies`.
        probes: by data set: the target's, and the source's (one, where these are the same).
        source: the name of the source.
        source_classes: its classes.
        layers: paths in the network, in depth order.
    """

    target: Index
    train: Images
    val: Images
    metric: str
    probes: Mapping[str, Probe]
    source: str
    source_classes: Sequence[str]
    layers: Sequence[str]


@dataclass(frozen=True)
class Drift:
    """The numbers of one model; NaN where it was not looked at, or where they are not defined.

    Attributes:
        drift, dead: float64[domains, layers, steps].
        retention: float64[layers, steps].
        class_retention: float64[layers, steps, source classes].
        accuracy, margin: float64[steps], on the report half.
    """

    drift: np.ndarray
    dead: np.ndarray
    retention: np.ndarray
    class_retention: np.ndarray
    accuracy: np.ndarray
    margin: np.ndarray

    @classmethod
    def empty(cls, ground: Ground, steps: int) -> "Drift":
        """Room for so many steps."""
        layers = (len(ground.layers), steps)
        of_domains = (len(ground.probes), *layers)
        shapes = (of_domains, of_domains, layers, (*layers, len(ground.source_classes)), (steps,), (steps,))
        return cls(*(np.full(shape, np.nan) for shape in shapes))


def write_drifts(
    path: Path,
    source_path: Path,
    architecture: NetworkSettings,
    ground: Ground,
    recipe: RecipeSettings,
    steps: Sequence[int],
    progress: Progress,
) -> None:
    """Adapt every source model of a shard as its transfer does, and write how far it moves.

    Args:
        steps: after how many optimiser steps models are looked at, from 0 on; they are at the end, too.
        progress: models that an interrupted job had finished are not adapted again.
    """
    train = ground.train
    with (
        fitting.named(train.device, recipe.training.batch_size, train.settings.resolution),
        artefacts.open(source_path, SOURCE_MODELS) as source,
        artefacts.create(path, DRIFTS) as out,
    ):
        rows = studies.read_rows(source)
        studies.write_rows(out, rows)
        _write_known(out, ground, [*steps, moments.total(recipe, len(train))])
        classes = len(ground.target.class_names)
        require_possible(recipe, len(source["source_class"]), classes, train.examples.labels)
        _reserve(out, ground, len(rows), len(steps) + 1)
        for row in job.progress(range(len(rows)), f"drift {path.stem}", "models"):
            start = Start(source, row, architecture)
            drift = _kept_or_followed(progress, start, ground, recipe, steps)
            for name, values in vars(drift).items():
                out.file[name][row] = values
    progress.remove()


def _write_known(out: artefacts.Writer, ground: Ground, steps: Sequence[int]) -> None:
    out.attribute("metric", ground.metric)
    out.attribute("fewest_images", FEWEST_IMAGES)
    out.write("step", steps)
    out.write("layer", ground.layers)
    out.write("domain", list(ground.probes))
    out.write("source_class", ground.source_classes)


def _reserve(out: artefacts.Writer, ground: Ground, models: int, steps: int) -> None:
    for name, values in vars(Drift.empty(ground, steps)).items():
        out.reserve(name, (models, *values.shape))


def _kept_or_followed(
    progress: Progress, start: Start, ground: Ground, recipe: RecipeSettings, steps: Sequence[int]
) -> Drift:
    """The numbers of a model, from an interrupted job where it got so far."""
    name = f"drift-{start.row}"
    if kept := progress.load(name):
        return Drift(**{key: values.numpy() for key, values in kept.items()})
    _, drift = follow(start, ground, recipe, steps)
    if progress.long():
        progress.save(name, {key: torch.from_numpy(values) for key, values in vars(drift).items()})
    return drift


def follow(
    start: Start, ground: Ground, recipe: RecipeSettings, steps: Sequence[int]
) -> tuple[Trained, Drift]:
    """A model adapted to the target, and how far its layers moved."""
    data, classes = Data(ground.train, np.arange(len(ground.train))), len(ground.target.class_names)
    follower = Follower(ground, _spare(start.job(data, classes, recipe)), len(steps) + 1)
    checkpoints = engine.Checkpoints(steps, follower.keep)
    (trained,) = train_block([start.job(data, classes, recipe, checkpoints)])
    follower.look(len(steps), trained.network.eval())
    return trained, follower.told


def _spare(job: Job) -> Network:
    """A network like the one that a job adapts, which can be looked at while that goes on."""
    return recipes.make(job.recipe).convert(job.network()).eval()


class Follower:
    """Looks at a model on its way.

    Args:
        spare: takes the states of the model, so that looking changes nothing of it.
        steps: how many moments there are.
    """

    def __init__(self, ground: Ground, spare: Network, steps: int):
        self.ground, self._spare = ground, spare
        self.told = Drift.empty(ground, steps)
        self._start: dict[str, dict[str, Layer]] = {}

    def keep(self, position: int, network: Network) -> None:
        """Look at what the model is at a moment, the first of which is the start (see `Checkpoints`)."""
        self._spare.load_state_dict(network.state_dict())
        self.look(position, self._spare)

    def look(self, position: int, network: Network) -> None:
        """Look at a network in evaluation mode."""
        ground, told = self.ground, self.told
        told.accuracy[position], told.margin[position] = outcome(network, ground)
        for domain, (name, probe) in enumerate(ground.probes.items()):
            seen, _ = look(network, ground.layers, probe)
            start = self._start.setdefault(name, seen)
            for layer, path in enumerate(ground.layers):
                told.drift[domain, layer, position] = drift_of(start[path], seen[path])
                told.dead[domain, layer, position] = dead_share(seen[path].pooled)
            if name == ground.source:
                self._retain(position, start, seen, probe)

    def _retain(
        self, position: int, start: Mapping[str, Layer], seen: Mapping[str, Layer], probe: Probe
    ) -> None:
        """Note what is left of how the source's images are told apart, all and class by class."""
        for layer, path in enumerate(self.ground.layers):
            before, after = start[path].pooled, seen[path].pooled
            self.told.retention[layer, position] = cka.unbiased(before, after)
            for c in range(len(self.ground.source_classes)):
                own = probe.labels == c
                if own.sum() >= FEWEST_IMAGES:
                    similarity = cka.unbiased(before[own], after[own])
                    self.told.class_retention[layer, position, c] = similarity


def outcome(network: Network, ground: Ground) -> tuple[float, float]:
    """(Accuracy, mean margin) of a network on the target's report half."""
    values = outputs.per_example(engine.evaluate(network, ground.val), ground.val.labels)
    examples, classes = ground.target.val, len(ground.target.class_names)
    overall, _ = outputs.accuracies(values, examples.labels, examples.halves, classes, ground.metric)
    return float(overall[_REPORT]), float(values["margin"][examples.of_half("report")].mean(dtype=np.float64))


def drift_of(start: Layer, now: Layer) -> float:
    """1 - unbiased minibatch CKA of a layer with itself at the start; exactly 0 if nothing changed."""
    between = minibatch.products(start.gram[:, None], now.gram[:, None])  # of one row with one other
    return 1 - float(minibatch.cka(between)[0, 0])


def dead_share(pooled: np.ndarray) -> float:
    """The share of channels that answer to all images alike, of pooled features [images, channels]."""
    return float(np.mean(pooled.max(0) == pooled.min(0)))
