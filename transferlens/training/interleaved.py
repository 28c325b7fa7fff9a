"""Several models trained in turn, on batches from one stream of decoded images.

Each goes on by a step whenever the stream has filled a batch of its own, with torch's generators as it left
them; so its result is what it would be alone.
"""

from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import islice
from typing import Generic

import torch

from transferlens.data.pipeline import Pass
from transferlens.data.shared import Share, SharedImages
from transferlens.training import engine
from transferlens.training.draws import generators, set_generators
from transferlens.training.engine import Result, Views, Wanted
from transferlens.training.runs import Job, Trained
from transferlens.training.sequential import training

INTERLEAVED = "interleaved"


def interleaved(jobs: Iterable[Job], models: int) -> Iterator[Trained]:
    """Train the models of jobs, so many at a time in turn."""
    jobs = iter(jobs)
    while some := list(islice(jobs, models)):
        trained = in_turn([training(one) for one in some], some[0].data.images.device)
        while trained:  # given away one by one, so that none is held for longer
            yield Trained(*trained.pop(0), INTERLEAVED)


def in_turn(trainings: Sequence[Generator[Wanted, Views, Result]], device: torch.device) -> list[Result]:
    """The results of trainings that go by steps, in their order.

    Those that wait for shared images get them from one stream a pass; a phase on other data (features) has
    batches of its own.
    """
    runs = [_Run(training, device) for training in trainings]
    for run in runs:
        run.go_on(None)
    while waiting := [run for run in runs if run.wanted]:
        alone = [run for run in waiting if not run.shares]
        for run in alone:
            run.finish_phase()
        if not alone:
            _one_stream(_next_together(waiting))
    return [run.result for run in runs]


class _Run(Generic[Result]):
    """A training in progress.

    Attributes:
        wanted: the batch that it waits for; None when it is over.
        result: what it returned then.
    """

    result: Result

    def __init__(self, training: Generator[Wanted, Views, Result], device: torch.device):
        self._training, self._device = training, device
        self._draws = generators(device)
        self.wanted: Wanted | None = None

    def go_on(self, views: Views | None) -> None:
        """Let it take a step, with torch's generators where its last one left them."""
        set_generators(self._device, self._draws)
        try:
            self.wanted = self._training.send(views)
        except StopIteration as over:
            self.wanted, self.result = None, over.value
        self._draws = generators(self._device)

    def finish_phase(self) -> None:
        """Let it go on to the end of its phase with batches of its own."""
        first = self.wanted
        batches = engine.view_batches(first.phase, first.steps, first.number)
        while self.wanted and self.wanted.phase is first.phase:
            self.go_on(next(batches))

    @property
    def shares(self) -> bool:
        """Whether it waits for one view of shared images."""
        return isinstance(self.wanted.phase.data, SharedImages) and len(self.wanted.phase.views) <= 1

    @property
    def one(self) -> Pass:
        """The pass of the batch that it waits for."""
        phase, steps = self.wanted.phase, self.wanted.steps
        training = phase.views[0] if phase.views else phase.training
        complete = len(phase.positions) // min(training.batch_size, len(phase.positions))
        number = self.wanted.number // complete
        return engine.pass_at(number, phase.data, phase.positions, training, phase.seed, steps)

    def share(self) -> Share:
        """What it has still to take of that pass."""
        one, phase = self.one, self.wanted.phase
        complete = len(one.positions) // one.batch_size
        begun = one.number * complete
        left = phase.training.epochs * self.wanted.steps - begun
        return Share(one.positions, one.batch_size, self.wanted.number - begun, min(complete, left))


def _next_together(waiting: Sequence[_Run]) -> list[_Run]:
    """Those of the runs whose pass comes first that look at the images in the same way."""
    first = min(waiting, key=lambda run: (run.one.number, run.one.resolution))
    return [run for run in waiting if _same_stream(run, first)]


def _same_stream(run: _Run, other: _Run) -> bool:
    """Whether two runs wait for the same images, changed and decoded alike."""
    looked = [
        (id(one.wanted.phase.data), one.one.number, one.one.resolution, one.one.training)
        for one in (run, other)
    ]
    return looked[0] == looked[1]


def _one_stream(runs: Sequence[_Run]) -> None:
    """Let runs take what they have still to take of a pass, each whenever a batch of its own is there."""
    one, images = runs[0].one, runs[0].wanted.phase.data
    shares = [run.share() for run in runs]
    for place, (batch, labels) in images.shared_batches(one.number, one.resolution, one.training, shares):
        runs[place].go_on(([batch], labels))
