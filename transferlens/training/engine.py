"""The one training loop, for source models and all recipes alike; and evaluation.

What is trained, on what and by which loss is the recipe's to say (`recipes.base`).
"""

import copy
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from transferlens.core import job
from transferlens.core.errors import NumericalError
from transferlens.core.settings import TrainingSettings
from transferlens.data.pipeline import Batch, Images, Pass
from transferlens.models import layers, states
from transferlens.models.network import Network
from transferlens.training import fitting, schedule
from transferlens.training.draws import generators, set_generators
from transferlens.training.optimisation import Optimiser
from transferlens.training.recipes.base import Batches, Group, Phase, Recipe
from transferlens.training.resumption import NOTHING, Kept

Result = TypeVar("Result")


@dataclass(frozen=True)
class Checkpoints:
    """Networks to be kept along the way.

    Attributes:
        steps: after how many optimiser steps of a run; 0 is before the first.
        keep: takes the position in `steps`, and the network as it would be evaluated then.
        kept: the state of the network that was kept at a position, flat; None if none was.
    """

    steps: Sequence[int]
    keep: Callable[[int, Network], None]
    kept: Callable[[int], Mapping[str, torch.Tensor] | None] = lambda position: None

    def reached(self, step: int, recipe: Recipe) -> None:
        """Keep the network of a recipe's run that has taken so many steps, if it is asked for."""
        if step in self.steps:
            self.keep(list(self.steps).index(step), recipe.inference())

    def epoch_over(self, epochs: int, recipe: Recipe) -> None:
        """Called when so many epochs of a recipe's run are over, of all its phases; nothing is done."""

    def lay_by(self, kept: Kept) -> None:
        """Keep those of a run so far, should it be interrupted."""
        for position in range(len(self.steps)):
            if not kept.has_checkpoint(position) and (state := self.kept(position)):
                kept.keep_checkpoint(position, state)

    def take_up(self, kept: Kept, network: Network) -> None:
        """Keep those that an interrupted run had laid by; the network, which is changed, is one like them."""
        for position in range(len(self.steps)):
            if kept.has_checkpoint(position):
                states.take(network, kept.checkpoint(position))
                self.keep(position, network)


NONE = Checkpoints((), lambda position, network: None)


@dataclass
class Standing:
    """How far a run has come.

    Attributes:
        phase, step: the number of the phase, and the optimiser steps taken in it.
        done: optimiser steps taken in all.
        logs: float64[epochs, 3] of the phases that are over, and of the present one so far.
        loss, correct: sums over the steps of the present epoch.
        finite: whether every loss of the phase was.
        fine: steps of the phase before the first loss that is not finite.
    """

    device: torch.device
    phase: int = 0
    step: int = 0
    done: int = 0

    def __post_init__(self) -> None:
        self.logs: list[np.ndarray] = []
        self.loss, self.correct = (torch.zeros((), device=self.device) for _ in range(2))
        self.finite = torch.ones((), dtype=torch.bool, device=self.device)
        self.fine = torch.zeros((), dtype=torch.int64, device=self.device)

    def open(self, phase: int, epochs: int) -> None:
        """Begin a phase."""
        self.phase, self.step = phase, 0
        self.fine.zero_()
        self.logs.append(np.zeros((epochs, 3)))

    def took(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """Note a step: its loss, and logits [N + M, C] whose first N have labels [N]."""
        self.note(loss, logits, labels)
        self.count()

    def note(self, loss: torch.Tensor, logits: torch.Tensor, labels: torch.Tensor) -> None:
        """The part of `took` on the device, in place: where a step is recorded, it is part of it."""
        self.finite.logical_and_(torch.isfinite(loss))
        self.fine.add_(self.finite)
        self.loss.add_(loss)
        self.correct.add_((logits[: len(labels)].argmax(1) == labels).float().mean())

    def count(self) -> None:
        """The other part of `took`."""
        self.step, self.done = self.step + 1, self.done + 1

    def close_epoch(self, steps: int, rate: float) -> int:
        """Log an epoch of so many steps, whose last learning rate was this; returns how many are over."""
        own = self.step // steps
        self.logs[-1][own - 1] = float(self.loss) / steps, float(self.correct) / steps, rate
        self.loss.zero_()
        self.correct.zero_()
        return own + sum(map(len, self.logs[:-1]))

    @property
    def log(self) -> np.ndarray:
        """float64[epochs, 3]: mean loss, accuracy and last learning rate of every epoch of all phases."""
        return np.concatenate(self.logs)

    def as_kept(self) -> dict[str, Any]:
        """All of it as tensors and numbers."""
        kept = {name: value for name, value in vars(self).items() if name not in ("device", "logs")}
        return {**kept, "logs": [torch.from_numpy(log) for log in self.logs]}

    @classmethod
    def of(cls, kept: Mapping[str, Any], device: torch.device) -> "Standing":
        """That of `as_kept`."""
        standing = cls(device)
        for name, value in kept.items():
            setattr(standing, name, value.to(device) if torch.is_tensor(value) else value)
        standing.logs = [log.numpy() for log in kept["logs"]]
        return standing


@dataclass(frozen=True)
class Wanted:
    """The batch that a run waits for.

    Attributes:
        steps: of an epoch of the phase.
        number: of the batch in the phase, from 0.
    """

    phase: Phase
    steps: int
    number: int


Views = tuple[list[torch.Tensor], torch.Tensor]


def run(recipe: Recipe, checkpoints: Checkpoints = NONE, kept: Kept = NOTHING) -> np.ndarray:
    """Train what a recipe has started with, in place.

    Batch order and augmentation depend on its seed alone.

    Args:
        kept: what an interrupted run goes on from, and where this one is kept.

    Returns:
        float64[epochs, 3]: mean loss, accuracy and last learning rate of every epoch of all phases.

    Raises:
        NumericalError: a loss that is not finite.
    """
    return on_own_batches(by_steps(recipe, checkpoints, kept))


def on_own_batches(training: Generator[Wanted, Views, Result]) -> Result:
    """Give a training that goes by steps the batches of its phases until it ends; returns its result."""
    phase, views = None, None
    while True:
        try:
            wanted = training.send(views)
        except StopIteration as over:
            return over.value
        if wanted.phase is not phase:
            phase, batches = wanted.phase, view_batches(wanted.phase, wanted.steps, wanted.number)
        views = next(batches)


def by_steps(recipe: Recipe, checkpoints: Checkpoints, kept: Kept) -> Generator[Wanted, Views, np.ndarray]:
    """As `run`, but before every step the batch that it takes must be sent."""
    interrupted = kept.state()
    standing = None
    for number, phase in enumerate(recipe.phases()):
        if standing is None:
            standing = begun(recipe, phase, checkpoints, interrupted, kept)
        if interrupted and number < standing.phase:
            continue
        going_on = interrupted if interrupted and number == standing.phase else None
        if not going_on:
            standing.open(number, phase.training.epochs)
        with layers.watch(recipe.network, recipe.watched) as features:
            recipe.enter(phase, features)
            yield from _train(recipe, phase, standing, checkpoints, kept, going_on)
    recipe.finish()
    return standing.log


def begun(
    recipe: Recipe, phase: Phase, checkpoints: Checkpoints, interrupted: Mapping[str, Any] | None, kept: Kept
) -> Standing:
    """The standing of a run whose first phase is this, which may have been interrupted."""
    if not interrupted:
        checkpoints.reached(0, recipe)
        return Standing(phase.data.device)
    standing = Standing.of(interrupted["standing"], phase.data.device)
    checkpoints.take_up(kept, copy.deepcopy(recipe.inference()))
    job.log.info("going on after %d steps", standing.done)
    return standing


def _train(
    recipe: Recipe,
    phase: Phase,
    standing: Standing,
    checkpoints: Checkpoints,
    kept: Kept,
    interrupted: Mapping[str, Any] | None,
) -> Generator[Wanted, Views, None]:
    """One phase of a run, from where it stands."""
    training, device = phase.training, phase.data.device
    scaler = torch.amp.GradScaler(device.type, enabled=phase.precision == torch.float16)
    optimiser = Optimiser(training, phase.groups, scaler)
    steps = steps_per_epoch(phase)
    backward = _own(recipe, phase, optimiser) if phase.views else _one_pass(recipe, phase, optimiser)
    if interrupted:
        restore(recipe, optimiser, interrupted, device)
    for step in range(standing.step, training.epochs * steps):
        views, labels = yield Wanted(phase, steps, step)
        rate = optimiser.set_rate(step, steps)
        loss, logits = backward(views, labels)
        optimiser.unscale()
        recipe.before_step(standing.done)
        optimiser.step()
        recipe.after_step(standing.done)
        standing.took(loss, logits, labels)
        checkpoints.reached(standing.done, recipe)
        if standing.step % steps == 0:
            require_finite(standing, recipe, steps)
            checkpoints.epoch_over(standing.close_epoch(steps, rate), recipe)
        if kept.due():
            keep(recipe, optimiser, standing, checkpoints, kept)


def steps_per_epoch(phase: Phase) -> int:
    """Optimiser steps of an epoch of a phase."""
    return phase.steps or schedule.steps_per_epoch(len(phase.positions), phase.training, phase.seed)


def keep(
    recipe: Recipe, optimiser: Optimiser, standing: Standing, checkpoints: Checkpoints, kept: Kept
) -> None:
    """Keep the state of a run, and its checkpoints so far."""
    checkpoints.lay_by(kept)
    kept.keep_state(state_of(recipe, optimiser, standing))


def state_of(recipe: Recipe, optimiser: Optimiser, standing: Standing) -> dict[str, Any]:
    """All that a run goes on from."""
    return {
        "standing": standing.as_kept(),
        "network": recipe.network.state_dict(),
        "beside": recipe.beside.state_dict(),
        "recipe": recipe.state(),
        "optimiser": optimiser.state(),
        "generators": generators(standing.device),
    }


def restore(
    recipe: Recipe, optimiser: Optimiser, interrupted: Mapping[str, Any], device: torch.device
) -> None:
    """Put a run back to where it was interrupted."""
    recipe.network.load_state_dict(interrupted["network"])
    recipe.beside.load_state_dict(interrupted["beside"])
    recipe.load_state(interrupted["recipe"])
    optimiser.load_state(interrupted["optimiser"])
    set_generators(device, interrupted["generators"])


def require_finite(standing: Standing, recipe: Recipe, steps: int) -> None:
    """Refuse to go on with weights that a loss which is not finite has spoilt."""
    if not standing.finite:
        broken = int(standing.fine)
        kind = f"recipe '{recipe.settings.kind}': " if recipe.settings else ""
        raise NumericalError(
            f"{kind}the loss is not finite at step {broken + 1} (epoch {broken // steps + 1}, batch "
            f"{broken % steps + 1} of {steps}); lower training.lr, set training.clip, or weaken the recipe"
        )


# Puts the gradients of a batch, given by its views and labels, in place; returns its loss and logits.
_Backward = Callable[[list[torch.Tensor], torch.Tensor], tuple[torch.Tensor, torch.Tensor]]


def _one_pass(recipe: Recipe, phase: Phase, optimiser: Optimiser) -> _Backward:
    """One forward pass of the batch and the recipe's extra images, less of it at a time if need be."""
    step = passes(recipe, phase, optimiser)

    def backward(views: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        (batch,) = views
        extra = recipe.extra_images(batch)
        return step(batch if extra is None else torch.cat([batch, extra]), labels)

    return backward


def passes(recipe: Recipe, phase: Phase, optimiser: Optimiser) -> fitting.Step:
    """The forward and backward pass of a batch by the recipe's loss."""

    def loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return recipe.loss(logits, recipe.features, labels, phase.parameters)

    return fitting.Step(
        phase.network,
        loss,
        phase.criterion.mass,
        optimiser.scaler,
        phase.autocast,
        lambda: zero_grad(phase, optimiser),
        phase.divisible,
    )


def _own(recipe: Recipe, phase: Phase, optimiser: Optimiser) -> _Backward:
    """The recipe's own step on several views."""

    def backward(views: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        zero_grad(phase, optimiser)
        loss, logits = recipe.step(views, labels)
        optimiser.scaler.scale(loss).backward()
        return loss.detach(), logits.detach()

    return backward


def zero_grad(phase: Phase, optimiser: Optimiser) -> None:
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
        self.beside = nn.ModuleDict()

    def phases(self) -> Iterator[Phase]:
        yield self._phase


def view_batches(phase: Phase, steps: int, start: int = 0) -> Iterator[Views]:
    """Batches of a phase without end, from number `start` on: the views of their images, and their labels."""
    views = [
        endless_batches(phase.data, phase.positions, training, phase.seed, steps, view, start)
        for view, training in enumerate(phase.views or [phase.training])
    ]
    for batches in zip(*views, strict=True):
        yield [images for images, _ in batches], batches[0][1]


def endless_batches(
    images: Batches,
    positions: np.ndarray,
    training: TrainingSettings,
    seed: int,
    steps: int,
    view: int = 0,
    start: int = 0,
) -> Iterator[Batch]:
    """Passes over the images one after the other, at the resolution of the epoch each begins in.

    Args:
        start: the number of the first batch; those of its pass before it are made and left out.
    """
    complete = len(positions) // min(training.batch_size, len(positions))
    done = start - start % complete
    for number in count(start // complete):
        one = pass_at(number, images, positions, training, seed, steps, view)
        for batch in images.training_batches(one):
            if done >= start:
                yield batch
            done += 1


def pass_at(
    number: int,
    images: Batches,
    positions: np.ndarray,
    training: TrainingSettings,
    seed: int,
    steps: int,
    view: int = 0,
) -> Pass:
    """The pass of this number over the images, at the resolution of the epoch that it begins in."""
    batch_size = min(training.batch_size, len(positions))
    epoch = number * (len(positions) // batch_size) // steps
    side = schedule.resolution(training.resize, epoch, images.settings.resolution)
    return Pass(positions, training, batch_size, number, seed, side, view)


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


@torch.inference_mode()
def evaluate_some(
    function: Callable[[torch.Tensor], torch.Tensor],
    images: Images,
    positions: np.ndarray,
    batch_size: int = 256,
) -> torch.Tensor:
    """`function` of the images at positions int64[n], ascending, in float32: [n, ...] on the device."""
    values, size, start = [], batch_size, 0
    for batch in images.evaluation_batches(batch_size):
        first, last = np.searchsorted(positions, [start, start + len(batch)])
        if first < last:
            chosen = torch.from_numpy(positions[first:last] - start).to(batch.device)
            part, size = fitting.in_parts(function, batch[chosen], size)
            values.append(part.float())
        start += len(batch)
    return torch.cat(values)
