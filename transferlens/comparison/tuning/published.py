"""What papers would print of a recipe: every epoch is tried on the test images, by every head it trains.

The chosen settings are trained on all training images by the models that report, with the seeds of the
house's own transfers, so that after the last epoch the network's own head answers as it does in these. A
paper that chooses the epoch and the head on the test images prints the highest accuracy of each model; the
difference is the optimism of that choice.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from torch import nn

from transferlens.comparison.tuning.artefacts import PUBLISHED
from transferlens.comparison.tuning.part import Part, Seen
from transferlens.core import artefacts, job
from transferlens.data.pipeline import Images
from transferlens.training import engine, fitting, outputs
from transferlens.training.block import train_block
from transferlens.training.draws import generators, set_generators
from transferlens.training.recipes.base import Data, Recipe
from transferlens.training.recipes.kinds import KINDS, caches_features
from transferlens.training.recipes.settings.base import RecipeSettings
from transferlens.training.resumption import Kept, Progress
from transferlens.training.transfer import Start

OWN = "own"  # the head that the trained network has


@dataclass(frozen=True)
class ReportHalf:
    """The report half of a target, as papers use a test set.

    Attributes:
        part: its images, or what a backbone makes of them.
        classes: of the target.
        metric: what accuracy is, as in `outputs.accuracies`.
    """

    part: Part | Seen
    classes: int
    metric: str

    def accuracy(self, network: nn.Module) -> float:
        """What a network, which is put into evaluation mode, gets right."""
        answers, labels = self.part.answers(network), self.part.labels
        values, report = outputs.per_example(answers, labels), np.ones(len(labels), np.int64)
        overall, _ = outputs.accuracies(values, labels.cpu().numpy(), report, self.classes, self.metric)
        return float(overall[1])


def _keep_nothing(position: int, network: nn.Module) -> None:
    """No network is kept."""


@dataclass(frozen=True, kw_only=True)
class EveryEpoch(engine.Checkpoints):
    """Tries every head of a run after every epoch.

    Attributes:
        test: what heads are tried on.
        told: by the number of epochs that are over, the accuracy of each head by its name.
    """

    steps: Sequence[int] = ()
    keep: Callable[[int, Any], None] = _keep_nothing
    test: ReportHalf
    told: dict[int, dict[str, float]] = field(default_factory=dict)

    def epoch_over(self, epochs: int, recipe: Recipe) -> None:
        """Try them; the run goes on as if nothing had happened."""
        with _undisturbed(recipe):
            heads = {OWN: recipe.inference(), **recipe.further_heads()}
            self.told[epochs] = {name: self.test.accuracy(head) for name, head in heads.items()}

    def lay_by(self, kept: Kept) -> None:
        """Keep what was told so far."""
        kept.keep_checkpoint(0, {"told": self.told})

    def take_up(self, kept: Kept, network: nn.Module) -> None:
        """Take up what an interrupted run was told."""
        if kept.has_checkpoint(0):
            self.told.update(kept.checkpoint(0)["told"])


@contextmanager
def _undisturbed(recipe: Recipe) -> Iterator[None]:
    """Put torch's generators and the modes of all modules of the run back afterwards."""
    device, owners = recipe.data.images.device, (recipe.network, recipe.beside)
    drawn = generators(device)
    modes = {module: module.training for owner in owners for module in owner.modules()}
    try:
        yield
    finally:
        set_generators(device, drawn)
        for module, training in modes.items():
            module.training = training


def as_published(
    path: Path,
    starts: Iterable[Start],
    rows: Sequence[int],
    train: Images,
    test: ReportHalf,
    recipe: RecipeSettings,
    progress: Progress,
) -> None:
    """Train every model by the chosen settings and write what its heads get right, epoch by epoch.

    Args:
        starts: the source models, one of each of `rows`.
        rows: their row numbers in the study.
        recipe: the chosen settings.
        progress: what an interrupted job goes on from.
    """
    named = fitting.named(train.device, recipe.training.batch_size, train.settings.resolution)
    with named, artefacts.create(path, PUBLISHED) as out:
        turns = job.progress(enumerate(starts), f"{path.parent.name} as published", "models", len(rows))
        told = [tried(start, train, test, recipe, progress.of(i)) for i, start in turns]
        heads = list(dict.fromkeys(name for model in told for epoch in model.values() for name in epoch))
        out.write("model", rows)
        out.write("epoch", 1 + np.arange(KINDS[recipe.kind].epochs(recipe)))
        out.write("head", heads)
        out.write("accuracy", [[[epoch[h] for h in heads] for _, epoch in sorted(m.items())] for m in told])
        out.attribute("metric", test.metric)
    progress.remove()


def tried(
    start: Start, train: Images, test: ReportHalf, recipe: RecipeSettings, kept: Kept
) -> dict[int, dict[str, float]]:
    """The accuracy of every head of a model after 1, 2, ... epochs."""
    data, last = Data(train, np.arange(len(train))), KINDS[recipe.kind].epochs(recipe)
    every = EveryEpoch(test=test)
    if caches_features(recipe):  # the backbone stays, and one pass through it is enough
        every = EveryEpoch(test=replace(test, part=Seen.by(start.network(train.device), test.part)))
    (trained,) = train_block([start.job(data, test.classes, recipe, every, kept)])
    # After the last epoch a recipe may still change the weights.
    every.told[last][OWN] = test.accuracy(trained.network)
    return every.told
