"""Trials of a recipe on a target: trained on a part of its training images, told on the held-out rest."""

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from transferlens.comparison.tuning.artefacts import TRIALS
from transferlens.comparison.tuning.part import Part
from transferlens.comparison.tuning.space import value_of
from transferlens.core import artefacts, job
from transferlens.core.errors import NumericalError
from transferlens.data.pipeline import Images
from transferlens.training import fitting, recipes
from transferlens.training.block import train_block
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.settings.base import RecipeSettings
from transferlens.training.resumption import NOTHING, Kept, Progress
from transferlens.training.runs import require_trainable
from transferlens.training.transfer import Start, require_possible


@dataclass(frozen=True)
class Ground:
    """What trials are made on.

    Attributes:
        train: the target's training images.
        held: bool[n], those that trials are told on.
        class_names: of the target.
    """

    train: Images
    held: np.ndarray
    class_names: Sequence[str]

    @property
    def data(self) -> Data:
        """What trials are trained on."""
        return Data(self.train, np.flatnonzero(~self.held))


@dataclass(frozen=True)
class Outcome:
    """How one trial ended with one model.

    Attributes:
        correct: bool[held-out images].
        loss: their mean cross-entropy; infinite where training broke off.
        seconds: of training.
    """

    correct: np.ndarray
    loss: float
    seconds: float


def try_settings(
    path: Path,
    starts: Iterable[Start],
    rows: Sequence[int],
    ground: Ground,
    trials: Mapping[int, RecipeSettings],
    parameters: Sequence[str],
    progress: Progress,
) -> None:
    """Train every model by the settings of every trial, and write how these do on the held-out images.

    Args:
        starts: the source models, one of each of `rows`.
        rows: their row numbers in the study.
        trials: settings by the number of the trial.
        parameters: dotted keys of what trials vary.
        progress: what an interrupted job goes on from.
    """
    first = next(iter(trials.values()))
    named = fitting.named(ground.train.device, first.training.batch_size, ground.train.settings.resolution)
    with named, artefacts.create(path, TRIALS) as out:
        _write_known(out, rows, ground, trials, parameters)
        turns = _turns(starts, ground, list(trials.values()))
        what = f"trials of {path.parent.parent.name}"
        for number, turn in enumerate(job.progress(turns, what, "trainings", len(trials) * len(rows))):
            outcome = _kept_outcome(progress, number, turn.start, turn.recipe, ground)
            for name, value in vars(outcome).items():
                out.file[name][turn.trial, turn.model] = value
    progress.remove()


class _Turn(NamedTuple):
    """A training to be done: positions of its trial and model, where it starts, and its settings."""

    trial: int
    model: int
    start: Start
    recipe: RecipeSettings


def _turns(starts: Iterable[Start], ground: Ground, trials: Sequence[RecipeSettings]) -> Iterator[_Turn]:
    """Every trial of one model after the other."""
    for model, start in enumerate(starts):
        _require_all(start, ground, trials)
        for trial, recipe in enumerate(trials):
            yield _Turn(trial, model, start, recipe)


def _require_all(start: Start, ground: Ground, trials: Sequence[RecipeSettings]) -> None:
    """Refuse settings by which the images cannot be learned or the network not be trained, before any is.

    Raises:
        ConfigError: one line.
    """
    labels, classes = ground.train.examples.labels[~ground.held], len(ground.class_names)
    network = start.network(ground.train.device)
    for recipe in trials:
        require_possible(recipe, len(start.source["source_class"]), classes, labels)
        require_trainable(recipes.make(recipe), network)


def _write_known(
    out: artefacts.Writer,
    rows: Sequence[int],
    ground: Ground,
    trials: Mapping[int, RecipeSettings],
    parameters: Sequence[str],
) -> None:
    """What is known before any training, and room for what is not."""
    examples, held = ground.train.examples, np.flatnonzero(ground.held)
    values = [[value_of(recipe, key) for key in parameters] for recipe in trials.values()]
    out.write("trial", list(trials))
    out.write("parameter", list(parameters))
    out.write("value", np.array(values, dtype=np.float64).reshape(len(trials), len(parameters)))
    out.write("settings", [json.dumps(recipe.model_dump(), sort_keys=True) for recipe in trials.values()])
    out.write("model", rows)
    out.write("example", [examples.ids[i] for i in held])
    out.write("example_class", [ground.class_names[examples.labels[i]] for i in held])
    out.attribute("trained", int((~ground.held).sum()))
    out.reserve("correct", (len(trials), len(rows), len(held)))
    for name in ("loss", "seconds"):
        out.reserve(name, (len(trials), len(rows)))


def _kept_outcome(
    progress: Progress, number: int, start: Start, recipe: RecipeSettings, ground: Ground
) -> Outcome:
    """The outcome of a training of the job; that of an interrupted job, if it got so far."""
    name = f"outcome-{number}"
    if kept := progress.load(name):
        return Outcome(kept["correct"].numpy(), kept["loss"], kept["seconds"])
    outcome = tried(start, recipe, ground, progress.of(number))
    if progress.long():
        progress.save(name, {**vars(outcome), "correct": torch.from_numpy(outcome.correct)})
    return outcome


def tried(start: Start, recipe: RecipeSettings, ground: Ground, kept: Kept = NOTHING) -> Outcome:
    """Train a model by the settings of a trial; where the loss is not finite, no held-out image is right."""
    part, begun = Part(ground.train, ground.held), time.monotonic()
    try:
        (trained,) = train_block([start.job(ground.data, len(ground.class_names), recipe, kept=kept)])
    except NumericalError as error:
        job.log.info("broke off: %s", error)
        return Outcome(np.zeros(ground.held.sum(), bool), float("inf"), time.monotonic() - begun)
    seconds = time.monotonic() - begun
    logits = part.answers(trained.network)
    loss = float(nn.functional.cross_entropy(logits.double(), part.labels))
    return Outcome((logits.argmax(1) == part.labels).cpu().numpy(), loss, seconds)
