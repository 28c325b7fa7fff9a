"""Many models at once on a GPU: the whole step of each is recorded and done again, in a stream of its own.

Small networks leave a GPU idle between the launches of their kernels. A recorded step (a CUDA graph) is one
launch, and the streams of several models fill each other's gaps. A model's batches, and the order of its own
arithmetic, are those of `sequential`, so that its bits do not depend on the others. No GPU was at hand when
this was written: on a CPU all but the recording and the streams was tried (`tests/training/test_graphs.py`).
"""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any

import torch

from transferlens.core.errors import ConfigError
from transferlens.core.job import log
from transferlens.data.pipeline import ResidentImages
from transferlens.training import device as devices
from transferlens.training.flight import Draws, Flight, Lane, MakeStep
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.runs import Job, Trained
from transferlens.training.sequential import alone
from transferlens.training.static_step import RecordedStep

GRAPHS = "graphs"


def graphs(jobs: Iterable[Job], models: int = 8) -> Iterator[Trained]:
    """Train up to so many models at once, by recorded steps; one by one what cannot be recorded.

    Raises:
        ConfigError: there is no GPU, or a model does not fit on it by itself.
    """
    jobs = iter(jobs)
    first = next(jobs, None)
    if first is not None:
        require_gpu(first.data.images.device)
        yield from side_by_side(chain([first], jobs), models, RecordedStep)


def require_gpu(device: torch.device) -> None:
    """Refuse a device on which no step can be recorded."""
    if device.type != "cuda":
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built without CUDA"
        raise ConfigError(
            f"training.implementation is '{GRAPHS}', which needs an NVIDIA GPU; found the device "
            f"'{device.type}' (torch {torch.__version__}, {built}); choose 'auto' or 'sequential', or run "
            "where nvidia-smi lists a GPU"
        )


def side_by_side(jobs: Iterable[Job], models: int, make_step: MakeStep) -> Iterator[Trained]:
    """Train up to so many models at once, a step of each in turn; results in the order of the jobs.

    When memory runs out, the newest model waits until there is room, and goes on from where it stood.
    """
    block = _Block(jobs, models, make_step)
    while block.fill():
        block.round()
        yield from block.results()


def one_by_one(job: Job) -> str:
    """Why a job's steps cannot be recorded, in words; '' if nothing is known that stands against it."""
    training, images = job.recipe.training, job.data.images
    if not KINDS[job.recipe.kind].in_blocks:
        return f"recipe '{job.recipe.kind}' is more than one forward pass, a loss and the optimiser's step"
    if not isinstance(images, ResidentImages):
        return "its images do not lie on the device (input.loading)"
    if training.resize is not None:
        return "the side of its images changes (training.resize)"
    if devices.precision(training.precision, images.device) == torch.float16:
        return "float16 scales each step's loss by what became of the ones before (training.precision)"
    return ""


@dataclass
class _Place:
    """A job's place in the order of the block.

    Attributes:
        alone: whether it is trained by itself, when no other is in flight.
        flight: while it is trained beside others.
        parked: the state from which it goes on, when there is room for it again.
        trained: until it is its turn to be given back.
    """

    job: Job
    alone: bool = False
    flight: Flight | None = None
    parked: Mapping[str, Any] | None = None
    trained: Trained | None = None


class _Block:
    """The jobs that were asked for and are not given back, in order."""

    def __init__(self, jobs: Iterable[Job], models: int, make_step: MakeStep):
        self._jobs, self._most, self._make_step = iter(jobs), models, make_step
        self._places: deque[_Place] = deque()
        self._lanes: list[Lane] = []
        self._said: set[str] = set()

    def fill(self) -> bool:
        """Begin models while there is room; returns whether anything is left to do."""
        while self._has_room() and (place := self._waiting()) and self._begin(place):
            pass
        return bool(self._places)

    def round(self) -> None:
        """Take a step of every model in flight."""
        for place in self._in_flight():
            if place.flight:  # it may have been parked in this round
                self._advance(place)
        flights = [place.flight for place in self._in_flight()]
        if any(flight.kept.due() for flight in flights):
            for flight in flights:
                flight.keep()

    def results(self) -> Iterator[Trained]:
        """What is trained and next in order."""
        while self._places and self._places[0].trained:
            yield self._places.popleft().trained

    def _in_flight(self) -> list[_Place]:
        return [place for place in self._places if place.flight]

    def _has_room(self) -> bool:
        """Whether one more may begin: networks that wait for their turn to be given back take room, too."""
        held = sum(place.trained is not None for place in self._places)
        flying = len(self._in_flight())
        return flying == 0 or flying + held < self._most

    def _waiting(self) -> _Place | None:
        """The first place that has not begun or is parked: of those asked for, or a new one."""
        for place in self._places:
            if not place.flight and not place.trained:
                return place
        if (job := next(self._jobs, None)) is None:
            return None
        self._places.append(_Place(job))
        return self._places[-1]

    def _begin(self, place: _Place) -> bool:
        """Begin a job, if it may now; returns whether another one may be tried."""
        if _is_done(place.job):
            place.trained = alone(place.job)
            return False
        if not place.alone and (reason := one_by_one(place.job)):
            self._set_apart(place, reason)
        if place.alone:
            if not self._in_flight():
                place.trained = alone(place.job)
            return False
        return self._take_off(place)

    def _set_apart(self, place: _Place, reason: str) -> None:
        """Let a job be trained by itself, and say why once."""
        place.alone = True
        if reason not in self._said:
            self._said.add(reason)
            log.info("trained one by one, not by recorded steps: %s", reason)

    def _take_off(self, place: _Place) -> bool:
        """Begin a job beside the others; returns whether that was possible."""
        lane = self._lanes.pop() if self._lanes else Lane(place.job.data.images.device)
        try:
            place.flight, place.parked = Flight(place.job, lane, self._make_step, place.parked), None
            return True
        except Draws:
            self._set_apart(place, "its network draws at random in training (dropout, stochastic depth)")
            return False
        except torch.OutOfMemoryError as error:
            reason = str(error).splitlines()[0]
        # Here the error is gone, and with it the tensors that its frames held.
        self._retreat(place.job, reason)
        return False

    def _advance(self, place: _Place) -> None:
        """Take a step of a model, and give up its flight if that was the last."""
        try:
            place.flight.advance()
        except torch.OutOfMemoryError as error:
            reason = str(error).splitlines()[0]
        else:
            if place.flight.over:
                place.trained = Trained(*place.flight.land(), GRAPHS)
                self._leave(place)
            return
        newest = self._in_flight()[-1]
        newest.parked = newest.flight.park()
        self._leave(newest)
        self._retreat(place.job, reason)

    def _leave(self, place: _Place) -> None:
        """Give up a flight, what it holds of the device's memory, and its lane."""
        self._lanes.append(place.flight.lane)
        place.flight = None

    def _retreat(self, job: Job, reason: str) -> None:
        """Have no more models in flight than there are now.

        Raises:
            ConfigError: there is none.
        """
        device = job.data.images.device
        if not (now := len(self._in_flight())):
            raise ConfigError(
                f"{devices.name(device)}: out of memory with a single model in flight, at batch_size "
                f"{job.recipe.training.batch_size} and {job.data.images.settings.resolution} px ({reason}); "
                "choose training.implementation: sequential, which goes on with less memory, lower the batch "
                "or the resolution, or let fewer jobs share the GPU"
            )
        self._most = now
        log.warning(
            "out of memory with %d models in flight (%s): from here on at most %d; results are the same",
            now + 1,
            reason,
            now,
        )
        if device.type == "cuda":
            torch.cuda.empty_cache()


def _is_done(job: Job) -> bool:
    """Whether nothing is to be trained: there are no images, or it was before the job was interrupted."""
    return not len(job.data.positions) or job.kept.of_run(0).outcome() is not None
