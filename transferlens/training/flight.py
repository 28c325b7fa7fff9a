"""A model in flight: a run of the training loop that goes on step by step, beside those of other models."""

import copy
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch

from transferlens.data.pipeline import Batch
from transferlens.models.network import Network
from transferlens.training import engine
from transferlens.training.optimisation import Optimiser
from transferlens.training.recipes.base import Phase, Recipe
from transferlens.training.runs import Job, begin
from transferlens.training.static_step import StaticStep

MakeStep = Callable[[Recipe, Phase, Optimiser, Batch], StaticStep]
_AHEAD = 2  # steps of a model that a GPU is asked for before they are done: their batches take memory


class Lane:
    """Where a model's steps are computed: a stream of a GPU; on the CPU, in line."""

    def __init__(self, device: torch.device):
        self._stream = torch.cuda.Stream(device) if device.type == "cuda" else None
        self._asked: deque[torch.cuda.Event] = deque()

    @contextmanager
    def turn(self, *made: torch.Tensor) -> Iterator[None]:
        """What is done inside comes after all that was asked for outside, which `made` these tensors."""
        if self._stream is None:
            yield
            return
        self._stream.wait_stream(torch.cuda.current_stream(self._stream.device))
        for tensor in made:
            tensor.record_stream(self._stream)  # so that its memory is not used again too early
        with torch.cuda.stream(self._stream):
            yield
        self._asked.append(self._stream.record_event())

    def wait(self, ahead: int = 0) -> None:
        """Until fewer turns than this are asked for and not done, or none."""
        while len(self._asked) > max(ahead - 1, 0):
            self._asked.popleft().synchronize()


class Draws(Exception):
    """The network draws at random in training, which steps that are recorded would not do anew."""


class Flight:
    """The run of a job that can be trained in a block.

    Args:
        make_step: of the recipe, its phase, its optimiser and the first batch.
        parked: the state of this run in which an earlier flight was given up.

    Raises:
        Draws: from the network.
        torch.OutOfMemoryError: there is no room for it beside others.
    """

    def __init__(self, job: Job, lane: Lane, make_step: MakeStep, parked: Mapping[str, Any] | None = None):
        self._run, self.lane = begin(job), lane
        self.kept, self._recipe = self._run.kept, self._run.recipe
        (self._phase,) = self._recipe.phases()
        self._recipe.enter(self._phase, {})
        self._training = self._phase.training
        self._steps = engine.steps_per_epoch(self._phase)
        self._optimiser = Optimiser(
            self._training, self._phase.groups, torch.amp.GradScaler(enabled=False), recorded=True
        )
        self._begin(make_step, parked)

    def _begin(self, make_step: MakeStep, parked: Mapping[str, Any] | None) -> None:
        """Get ready for the first step, or for the one after those that were taken."""
        batch = next(_batches(self._phase, self._steps, 0))
        with self.lane.turn(*batch):
            self._step = make_step(self._recipe, self._phase, self._optimiser, batch)
            if self._step.warm_up():
                raise Draws
            self._standing = self._stand(parked)
            self._step.begin(self._standing)
        self._batches = _batches(self._phase, self._steps, self._standing.step)

    def _stand(self, parked: Mapping[str, Any] | None) -> engine.Standing:
        """Where the run stands: at its beginning, or where it was parked or interrupted."""
        checkpoints = self._run.checkpoints
        interrupted = None if parked else self.kept.state()
        if parked:
            standing = engine.Standing.of(parked["standing"], self._phase.data.device)
        else:
            standing = engine.begun(self._recipe, self._phase, checkpoints, interrupted, self.kept)
        if state := parked or interrupted:
            engine.restore(self._recipe, self._optimiser, state, self._phase.data.device)
        else:
            standing.open(0, self._training.epochs)
        return standing

    @property
    def over(self) -> bool:
        """Whether all steps are taken."""
        return self._standing.step == self._training.epochs * self._steps

    def advance(self) -> None:
        """Take a step.

        Raises:
            NumericalError: a loss that is not finite, at the end of an epoch.
            torch.OutOfMemoryError: there is no room for a batch; the run stands where it stood.
        """
        self.lane.wait(_AHEAD)
        try:
            batch = next(self._batches)
        except torch.OutOfMemoryError:
            self._batches = _batches(self._phase, self._steps, self._standing.step)
            raise
        with self.lane.turn(*batch):
            rate = self._optimiser.set_rate(self._standing.step, self._steps)
            self._step.load(batch)
            self._step.take()
            self._standing.count()
            self._run.checkpoints.reached(self._standing.done, self._recipe)
            if self._standing.step % self._steps == 0:
                engine.require_finite(self._standing, self._recipe, self._steps)
                epochs = self._standing.close_epoch(self._steps, rate)
                self._run.checkpoints.epoch_over(epochs, self._recipe)

    def keep(self) -> None:
        """Keep its state, should the job be interrupted."""
        with self.lane.turn():
            engine.keep(self._recipe, self._optimiser, self._standing, self._run.checkpoints, self.kept)

    def park(self) -> dict[str, Any]:
        """Its state in the memory of the CPU, for another flight to go on from."""
        with self.lane.turn():
            return _on_cpu(engine.state_of(self._recipe, self._optimiser, self._standing))

    def land(self) -> tuple[Network, np.ndarray]:
        """The network, and the log float64[epochs, 3], when all steps are taken."""
        self._recipe.finish()
        self.lane.wait()
        self._phase.network.zero_grad()  # gradients lie in the memory of the recorded step
        return self._run.finish(self._standing.log)


def _batches(phase: Phase, steps: int, start: int) -> Iterator[Batch]:
    """Those of `engine.view_batches`; of a function of its own, as an iterator that held the flight, which
    holds the iterator, would keep the device's memory for longer than the flight.
    """
    for (images,), labels in engine.view_batches(phase, steps, start):
        yield images, labels


def _on_cpu(state: Any) -> Any:
    """A state with copies of its tensors on the CPU."""
    if torch.is_tensor(state):
        return state.detach().to("cpu", copy=True)
    if isinstance(state, Mapping):
        return {name: _on_cpu(value) for name, value in state.items()}
    if isinstance(state, list):
        return [_on_cpu(value) for value in state]
    return copy.deepcopy(state)
