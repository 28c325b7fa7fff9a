"""What training steps of several recipes cost, taken by turns.

Each recipe trains in a process of its own, by the one training loop, and takes a step when it is its turn:
what else the machine does weighs on all alike. On the CPU, seconds are those of the CPU, all threads
together; on a GPU, seconds pass until it has done what it was given. Memory is the most that was held in
the steps, beyond what was held with images and a network before the recipe took them up: resident memory of
the process, which libraries may keep longer than they use it, or what torch holds on the GPU.
"""

import math
import multiprocessing
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch

from transferlens.core.errors import TransferlensError
from transferlens.training import engine, recipes
from transferlens.training.block import Job, frozen

_END = "end"


class NotMeasured(Exception):
    """Why steps of a recipe could not be measured, in words."""


@dataclass(frozen=True)
class Cost:
    """What a recipe's steps took.

    Attributes:
        seconds: float64[rounds].
        peak: bytes; NaN where the system does not tell.
    """

    seconds: np.ndarray
    peak: float


def by_turns(jobs: Sequence[Callable[[], Job]], rounds: int) -> list[Cost]:
    """So many steps of each job, by turns, after a first one that is not counted.

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
        _train(pipe, make())
        pipe.send("its run was over too soon")
    except _Enough:
        pass
    except (TransferlensError, torch.OutOfMemoryError) as error:
        pipe.send(str(error).splitlines()[0])


def _train(pipe: Connection, job: Job) -> None:
    recipe, network = recipes.make(job.recipe), job.network()
    meter = _OfGpu(job.data.images.device) if job.data.images.device.type == "cuda" else _OfCpu()
    held = meter.held()
    source = frozen(job.source()) if recipe.keeps_source else None
    recipe.start(recipe.convert(network), source, job.data, job.seed)
    recipe.after_step = _Turns(pipe, meter, held, recipe.after_step)
    engine.run(recipe)


class _Enough(Exception):
    """No further step is wanted."""


class _Turns:
    """Takes the place of what a recipe does after a step: does that, says what the step took, and waits."""

    def __init__(self, pipe: Connection, meter: Any, held: float, after_step: Callable[[int], None]):
        self._pipe, self._meter, self._held, self._after_step = pipe, meter, held, after_step
        self._began = meter.seconds()

    def __call__(self, step: int) -> None:
        self._after_step(step)
        self._pipe.send(self._meter.seconds() - self._began)
        if step == 0:  # what came before the steps does not count
            self._meter.forget()
        if self._pipe.recv() == _END:
            self._end()
        self._began = self._meter.seconds()

    def _end(self) -> NoReturn:
        self._pipe.send(self._meter.most() - self._held)
        raise _Enough


class _OfCpu:
    """Seconds of the CPU, and resident memory in bytes, as Linux tells it."""

    _known = True

    def seconds(self) -> float:
        """Of all threads of the process."""
        return time.process_time()

    def held(self) -> float:
        """Now."""
        return _status("VmRSS")

    def forget(self) -> None:
        """The most is counted from now on."""
        try:
            Path("/proc/self/clear_refs").write_text("5")
        except OSError:
            self._known = False

    def most(self) -> float:
        """Since then; NaN where it could not be counted from then on."""
        return _status("VmHWM") if self._known else math.nan


def _status(name: str) -> float:
    """An entry of the process's status in bytes; NaN where there is none."""
    with suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(f"{name}:"):
                return 1024.0 * int(line.split()[1])
    return math.nan


@dataclass(frozen=True)
class _OfGpu:
    """Seconds until the GPU is done, and what torch holds there in bytes."""

    device: torch.device

    def seconds(self) -> float:
        """On the wall."""
        torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def held(self) -> float:
        """Now."""
        return torch.cuda.memory_allocated(self.device)

    def forget(self) -> None:
        """The most is counted from now on."""
        torch.cuda.reset_peak_memory_stats(self.device)

    def most(self) -> float:
        """Since then."""
        return torch.cuda.max_memory_allocated(self.device)
