"""What training steps of several recipes cost, taken by turns.

Each recipe trains in a process of its own, by the one training loop, and takes a step when it is its turn:
what else the machine does weighs on all alike. On the CPU, seconds are those of the CPU, all threads
together; on a GPU, seconds pass until it has done what it was given. Memory is the most that torch holds
during a step, beyond images and network: what the recipe took up before (a copy of the source, say), what
the optimiser remembers, activations and gradients. On the CPU its profiler counts what is allocated: not
what libraries allocate without torch, and not what a recipe lays by between its start and its first step.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NoReturn

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile, record_function

from transferlens.core.errors import TransferlensError
from transferlens.training import engine, recipes
from transferlens.training.runs import Job, frozen

_END = "end"
WARM_UP = 2  # steps before those that are counted; the second one's memory is told
_MARK = "the step whose memory is told"


class NotMeasured(Exception):
    """Why steps of a recipe could not be measured, in words."""


@dataclass(frozen=True)
class Cost:
    """What a recipe's steps took.

    Attributes:
        seconds: float64[rounds].
        peak: bytes.
    """

    seconds: np.ndarray
    peak: float


def by_turns(jobs: Sequence[Callable[[], Job]], rounds: int) -> list[Cost]:
    """So many steps of each job, by turns, after two that warm up.

    Args:
        jobs: make a job each, in its process; they can be pickled.

    Raises:
        NotMeasured: a job that fails, or takes fewer steps.
    """
    context = multiprocessing.get_context("spawn")
    workers = [_Worker(context, make) for make in jobs]
    try:
        for worker in workers:
            worker.answer()
        seconds = np.array([[worker.ask("step") for worker in workers] for _ in range(rounds)])
        peaks = [worker.ask(_END) for worker in workers]
    finally:
        for worker in workers:
            worker.stop()
    return [Cost(*both) for both in zip(seconds.T, peaks, strict=True)]


class _Worker:
    """The process of a job, as seen from outside."""

    def __init__(self, context: Any, make: Callable[[], Job]):
        self._pipe, inner = context.Pipe()
        self._process = context.Process(target=_serve, args=(inner, make), daemon=True)
        self._process.start()
        inner.close()  # so that the end of the process is noticed

    def ask(self, what: str) -> float:
        """Seconds of a `step`, or the peak at the `end`."""
        self._pipe.send(what)
        return self.answer()

    def answer(self) -> float:
        """What the process says next; raises NotMeasured if it cannot go on."""
        try:
            said = self._pipe.recv()
        except EOFError:
            raise NotMeasured("its process ended") from None
        if isinstance(said, str):
            raise NotMeasured(said)
        return said

    def stop(self) -> None:
        """End the process, wherever it is."""
        self._process.terminate()
        self._process.join()


def _serve(pipe: Connection, make: Callable[[], Job]) -> None:
    """Train a job, a step whenever it is asked for."""
    try:
        with _quiet():
            _train(pipe, make())
        pipe.send("its run was over too soon")
    except _Enough:
        pass
    except (TransferlensError, torch.OutOfMemoryError) as error:
        pipe.send(str(error).splitlines()[0])


@contextmanager
def _quiet() -> Iterator[None]:
    """What torch's profiler prints of itself goes nowhere."""
    kept = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _train(pipe: Connection, job: Job) -> None:
    recipe, network, device = recipes.make(job.recipe), job.network(), job.data.images.device
    meter = _OfGpu(device) if device.type == "cuda" else _OfCpu()

    def start() -> None:
        source = frozen(job.source()) if recipe.keeps_source else None
        recipe.start(recipe.convert(network), source, job.data, job.seed)

    def enter(*given: Any) -> None:
        meter.enter()
        enters(*given)

    meter.take_up(start)
    enters, recipe.enter = recipe.enter, enter
    recipe.after_step = _Turns(pipe, meter, recipe.after_step)
    engine.run(recipe)


class _Enough(Exception):
    """No further step is wanted."""


class _Turns:
    """Takes the place of what a recipe does after a step: does that, says what the step took, and waits."""

    def __init__(self, pipe: Connection, meter: Any, after_step: Callable[[int], None]):
        self._pipe, self._meter, self._after_step = pipe, meter, after_step
        self._began = 0.0

    def __call__(self, step: int) -> None:
        self._after_step(step)
        if step == WARM_UP - 2:
            self._meter.mark()
            return
        if step == WARM_UP - 1:
            self._meter.tell()
        self._pipe.send(self._meter.seconds() - self._began)
        if self._pipe.recv() == _END:
            self._end()
        self._began = self._meter.seconds()

    def _end(self) -> NoReturn:
        self._pipe.send(self._meter.most)
        raise _Enough


class _OfCpu:
    """Seconds of the CPU, and bytes that torch allocates.

    Attributes:
        most: held during the step that was marked, once it is told.
    """

    most = 0.0

    def seconds(self) -> float:
        """Of all threads of the process."""
        return time.process_time()

    def take_up(self, start: Callable[[], None]) -> None:
        """Start a recipe; what it allocates and keeps is part of the most."""
        with _profiler() as seen:
            start()
        self._kept = sum(change for _, change in _allocations(seen))

    def enter(self) -> None:
        """Begin to count, before the first step."""
        if not hasattr(self, "_seen"):
            self._seen = _profiler()
            self._seen.start()

    def mark(self) -> None:
        """The next step's memory is told."""
        with record_function(_MARK):
            pass

    def tell(self) -> None:
        """That step is over."""
        self._seen.stop()
        times, changes = np.array(_allocations(self._seen)).T
        events = self._seen.profiler.kineto_results.events()
        begun = next(event.start_ns() for event in events if event.name() == _MARK)
        self.most = float(self._kept + changes.cumsum()[times >= begun].max())


def _profiler() -> profile:
    return profile(activities=[ProfilerActivity.CPU], profile_memory=True)


def _allocations(seen: profile) -> list[tuple[int, int]]:
    """(nanoseconds, bytes) of what was allocated, or with a minus freed, in the order of time."""
    events = (event for event in seen.profiler.kineto_results.events() if event.name() == "[memory]")
    return sorted(((event.start_ns(), event.nbytes()) for event in events), key=lambda one: one[0])


class _OfGpu:
    """Seconds until the GPU is done, and bytes that torch holds there; otherwise as `_OfCpu`."""

    most = 0.0

    def __init__(self, device: torch.device):
        self.device = device

    def seconds(self) -> float:
        """On the wall."""
        torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def take_up(self, start: Callable[[], None]) -> None:
        """Start a recipe."""
        self._before = torch.cuda.memory_allocated(self.device)
        start()

    def enter(self) -> None:
        """Nothing need be begun."""

    def mark(self) -> None:
        """The next step's memory is told."""
        torch.cuda.reset_peak_memory_stats(self.device)

    def tell(self) -> None:
        """That step is over."""
        self.most = float(torch.cuda.max_memory_allocated(self.device) - self._before)
