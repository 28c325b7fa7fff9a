"""The one training loop, for source models and all recipes alike; and evaluation.

What is trained, on what and by which loss is the recipe's to say (`recipes.base`).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count, islice

import numpy as np
import torch
from torch import nn

from transferlens.core.settings import TrainingSettings
from transferlens.data.pipeline import Batch, Images, Pass
from transferlens.models import layers
from transferlens.models.network import Network
from transferlens.training import fitting, schedule
from transferlens.training.optimisation import Optimiser
from transferlens.training.recipes.base import Batches, Group, Phase, Recipe


@dataclass(frozen=True)
class Checkpoints:
    """Networks to be kept along the way.

    Attributes:
        steps: after how many optimiser steps of a run; 0 is before the first.
        keep: takes the position in `steps`, and the network as it would be evaluated then.
    """

    steps: Sequence[int]
    keep: Callable[[int, Network], None]

    def reached(self, step: int, recipe: Recipe) -> None:
        """Keep the network of a recipe's run that has taken so many steps, if it is asked for."""
        if step in self.steps:
            self.keep(list(self.steps).index(step), recipe.inference())


NONE = Checkpoints((), lambda position, network: None)


def run(recipe: Recipe, checkpoints: Checkpoints = NONE) -> np.ndarray:
    """Train what a recipe has started with, in place.

    Batch order and augmentation depend on its seed alone.

    Returns:
        float64[epochs, 3]: mean loss, accuracy and last learning rate of every epoch of all phases.
    """
    logs, steps = [], 0
    for phase in recipe.phases():
        if not logs:
            checkpoints.reached(0, recipe)
        with layers.watch(recipe.network, recipe.watched) as features:
            recipe.enter(phase, features)
            log, steps = _train(recipe, phase, steps, checkpoints)
        logs.append(log)
    recipe.finish()
    return np.concatenate(logs)


def _train(recipe: Recipe, phase: Phase, done: int, checkpoints: Checkpoints) -> tuple[np.ndarray, int]:
    """One phase of a run that has taken `done` steps: its log, and how many there are then."""
    training, device = phase.training, phase.data.device
    scaler = torch.amp.GradScaler(device.type, enabled=phase.precision == torch.float16)
    optimiser = Optimiser(training, phase.groups, scaler)
    steps = phase.steps or schedule.steps_per_epoch(len(phase.positions), training, phase.seed)
    backward = _one_pass(recipe, phase, optimiser) if recipe.views is None else _own(recipe, phase, optimiser)
    batches = view_batches(phase, steps, recipe.views or 1)
    log = np.zeros((training.epochs, 3))
    for epoch in range(training.epochs):
        loss_sum = correct = torch.zeros((), device=device)
        for i, (views, labels) in enumerate(islice(batches, steps)):
            rate = optimiser.set_rate(epoch * steps + i, steps)
            loss, logits = backward(views, labels)
            optimiser.unscale()
            recipe.before_step(done)
            optimiser.step()
            recipe.after_step(done)
            done += 1
            checkpoints.reached(done, recipe)
            loss_sum = loss_sum + loss
            correct = correct + (logits[: len(labels)].argmax(1) == labels).float().mean()
        log[epoch] = float(loss_sum) / steps, float(correct) / steps, rate
    return log, done


# Puts the gradients of a batch, given by its views and labels, in place; returns its loss and logits.
_Backward = Callable[[list[torch.Tensor], torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def _one_pass(recipe: Recipe, phase: Phase, optimiser: Optimiser) -> _Backward:
    """One forward pass of the batch and the recipe's extra images, less of it at a time if need be."""

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return recipe.loss(logits, recipe.features, labels, phase.parameters)

    step = fitting.Step(
        phase.network,
        loss,
        phase.criterion.mass,
        optimiser.scaler,
        phase.autocast,
        lambda: _zero_grad(phase, optimiser),
        phase.divisible,
    )

    def backward(views: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (batch,) = views
        extra = recipe.extra_images(batch)
        return step(batch if extra is None else torch.cat([batch, extra]), labels)

    return backward


def _own(recipe: Recipe, phase: Phase, optimiser: Optimiser) -> _Backward:
    """The recipe's own step on several views."""

    def backward(views: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        _zero_grad(phase, optimiser)
        loss, logits = recipe.step(views, labels)
        optimiser.scaler.scale(loss).backward()
        return loss.detach(), logits.detach()

    return backward


def _zero_grad(phase: Phase, optimiser: Optimiser) -> None:
    """Forget the gradients of what is trained, wherever it is, and of the rest of the network."""
    phase.network.zero_grad()
    optimiser.zero_grad()


def train(
    network: nn.Module,
    parameters: Iterable[nn.Parameter],
    images: Batches,
    positions: np.ndarray,
    training: TrainingSettings,
    seed: int,
    steps: int | None = None,
) -> np.ndarray:
    """Minimise the cross-entropy of any module on the images at `positions`, in place, by no recipe.

    The caller puts its modules into training or evaluation mode.

    Args:
        steps: optimiser steps an epoch; by default those that one pass over the images makes. More make
            further passes, which the next epoch goes on with.

    Returns:
        As `run`.
    """
    return run(_Plain(Phase(network, [Group(list(parameters))], images, positions, training, seed, steps)))


class _Plain(Recipe):
    """A single phase that is given."""

    def __init__(self, phase: Phase):
        super().__init__(settings=None)
        self.network, self._phase = phase.network, phase

    def phases(self) -> Iterator[Phase]:
        yield self._phase


def view_batches(phase: Phase, steps: int, views: int) -> Iterator[tuple[list[torch.Tensor], torch.Tensor]]:
    """Batches of a phase without end: the views of their images, and their labels."""
    given = phase.data, phase.positions, phase.training, phase.seed, steps
    for batches in zip(*(endless_batches(*given, view=view) for view in range(views)), strict=True):
        yield [images for images, _ in batches], batches[0][1]


def endless_batches(
    images: Batches, positions: np.ndarray, training: TrainingSettings, seed: int, steps: int, view: int = 0
) -> Iterator[Batch]:
    """Passes over the images one after the other, at the resolution of the epoch each begins in."""
    batch_size, done = min(training.batch_size, len(positions)), 0
    for number in count():
        side = schedule.resolution(training.resize, done // steps, images.settings.resolution)
        one = Pass(positions, training, batch_size, number, seed, side, view)
        for batch in images.training_batches(one):
            yield batch
            done += 1


@torch.inference_mode()
def evaluate(
    function: Callable[[torch.Tensor], torch.Tensor], images: Images, batch_size: int = 256
) -> torch.Tensor:
    """`function` of every image in order, in float32: [images, ...] on the device."""
    values, size = [], batch_size
    for batch in images.evaluation_batches(batch_size):
        part, size = fitting.in_parts(function, batch, size)
        values.append(part.float())
    return torch.cat(values)
