"""Models side by side on a GPU by recorded steps (`graphs`), against one after the other (`sequential`).

First checks, which end the script with status 1 if one fails: `graphs` gives the same bits when it is run
again and however many models are in flight, and after 20 steps in float32 its weights differ from those of
`sequential` by at most 1e-4 of their length (a recorded step reads its learning rate in float32; on a CPU,
with --device cpu, steps are not recorded, and nothing may differ).

Then, for four networks and 1 to 16 models in flight, in the study's arithmetic: images a second, set-up and
models an hour. A block of as many models is trained for few and for many steps; the difference gives the
time of a step, the rest is set-up (networks made, steps recorded). A model is one that sees all training
images of its study in all its epochs. Images are random bytes on the device: nothing is downloaded.

Shares of peaks: bytes are those of the operands of all operations of a step, each read or written once, as
torch's dispatcher sees them; floating-point operations are torch's count of products and convolutions. The
peaks are measured here: a copy of 1 GiB, and a product of matrices of side 8,192 in the same arithmetic.
Each row is also printed as soon as it is measured; one that fails is reported, and the others go on.

    python benchmarks/gpu.py [--seconds 5] [--device cuda] [--quick]
"""

import argparse
import sys
import time
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
import yaml
from tables import print_table
from torch.utils import _pytree as pytree
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode

from transferlens.capabilities import run_of
from transferlens.core.settings import InputSettings, NetworkSettings, TrainingSettings
from transferlens.data.pipeline import ResidentImages
from transferlens.training import device as devices
from transferlens.training import engine, schedule, source
from transferlens.training.graphs import graphs, side_by_side
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.settings.plain import FullSettings
from transferlens.training.runs import Job
from transferlens.training.sequential import sequential
from transferlens.training.static_step import StaticStep

REPOSITORY = Path(__file__).parents[1]
MINUTES = 5.5  # after which no row is begun
BOUND = 1e-4  # of the length of the weights
HEADER = ["", "in flight", "images a second", "ratio", "set-up (s a model)", "models an hour"]
HEADER += ["of copying", "of products"]
Run = Callable[[Sequence[Job]], list]
T = TypeVar("T")


@dataclass(frozen=True)
class Extent:
    """How much is measured.

    Attributes:
        in_flight: models, of each row.
        few: steps of a block that is nearly all set-up.
        checked: steps after which weights are compared.
        copied, side: bytes of the copy, and side of the matrices, for the peaks.
    """

    in_flight: tuple[int, ...]
    few: int
    checked: int
    copied: int
    side: int


WHOLE = Extent((1, 4, 8, 16), few=8, checked=20, copied=2**30, side=8192)
QUICK = Extent((1, 2), few=1, checked=2, copied=2**20, side=64)


class RandomImages(ResidentImages):
    """Random bytes on the device, as if they had been decoded."""

    def __init__(self, count: int, classes: int, settings: InputSettings, device: torch.device):
        self.settings, self.device, self._count = settings, device, count
        side, made = settings.resolution, {"device": device}
        pixels = torch.randint(0, 256, (count, side, side, 3), dtype=torch.uint8, **made)
        self._decoded = {(side, settings.crop_ratio): pixels}
        self.labels = torch.randint(classes, (count,), **made)
        self._mean, self._std = (torch.tensor(values, **made) for values in (settings.mean, settings.std))

    def __len__(self) -> int:
        return self._count


@dataclass(frozen=True)
class Task:
    """What is trained.

    Attributes:
        count, classes: training images of the study, and their classes.
    """

    name: str
    architecture: NetworkSettings
    input: InputSettings
    training: TrainingSettings
    count: int
    classes: int
    device: torch.device

    @cached_property
    def images(self) -> RandomImages:
        """All training images."""
        return RandomImages(self.count, self.classes, self.input, self.device)

    @property
    def steps(self) -> int:
        """Optimiser steps of a model."""
        return self.training.epochs * schedule.steps_per_epoch(self.count, self.training)

    def jobs(self, models: int, steps: int, **changes: object) -> list[Job]:
        """Models that take so many steps, at a learning rate by which random labels do no harm."""
        short = {"epochs": 1, "lr_peak_epoch": 0, "lr": 0.01, **changes}
        recipe = FullSettings(training=self.training.model_copy(update=short))
        data = Data(self.images, np.arange(self.count), steps)
        return [Job(partial(self.network, i), data, recipe, i) for i in range(models)]

    def network(self, seed: int) -> torch.nn.Module:
        """As it begins."""
        return source.new_network(self.architecture, self.classes, self.device, seed)


def main(given: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0, help="about as long for each row")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--quick", action="store_true", help="one network, few steps: to try the script")
    options = parser.parse_args(given)
    until = time.monotonic() + 60 * MINUTES
    device = picked(options.device)
    print(f"{devices.name(device)}, torch {torch.__version__}\n", flush=True)
    extent = QUICK if options.quick else WHOLE
    tasks = (
        [smaller(default(device))] if options.quick else [default(device), cifar(device), *resnets(device)]
    )
    good = [attempted(check, task, extent) for task in tasks[:2]]
    peaks = Peaks.measure(device, tasks[0].training, extent)
    print(f"copies {peaks.copy / 1e9:,.0f} GB/s, products {peaks.products / 1e12:,.2f} TFLOP/s\n", flush=True)
    good += [attempted(measure, task, peaks, extent, options.seconds, until) for task in tasks]
    return int(not all(good))


def attempted(work: Callable[..., T], *arguments: object) -> T | None:
    """What some work gives; None if it fails, which is printed: a GPU may be at hand for this once only."""
    try:
        return work(*arguments)
    except Exception:
        traceback.print_exc()
        return None


def measure(task: "Task", peaks: "Peaks", extent: Extent, budget: float, until: float) -> bool:
    """Print the rows of a network that can be begun until then; returns whether none has failed."""
    cost, rows = Cost.of(task), []
    for models in (0, *extent.in_flight):  # 0: one after the other
        if time.monotonic() > until:
            print(f"{task.name}, {models} in flight: not measured, as the time is over", flush=True)
            continue
        rows.append(attempted(Row.measure, task, models, extent.few, budget))
        if rows[-1]:
            print(f"{task.name}:", *rows[-1].cells(task, cost, peaks, rows[0]), flush=True)
    title = f"{task.name}, batches of {task.training.batch_size}, {task.steps:,} steps a model, {cost}"
    print_table(title, HEADER, [row.cells(task, cost, peaks, rows[0]) for row in rows if row])
    return all(rows)


def picked(name: str) -> torch.device:
    """The device, set up as jobs set it up."""
    found = devices.pick() if name == "cuda" else torch.device("cpu")
    if found.type != name:
        raise SystemExit("no CUDA GPU was found; `--device cpu --quick` tries the script without one")
    return found


def implementation(device: torch.device, models: int) -> Run:
    """How a block is trained: 0 for one after the other."""
    if not models:
        return lambda jobs: list(sequential(jobs))
    if device.type == "cuda":
        return lambda jobs: list(graphs(jobs, models))
    return lambda jobs: list(side_by_side(jobs, models, StaticStep))


# Networks


def default(device: torch.device) -> Task:
    """That of config.yaml: 200 images of each of 20 classes."""
    return of_study("config.yaml", "default network", 4_000, 20, device)


def smaller(task: Task) -> Task:
    """With small batches, to try the script."""
    return replace(task, training=task.training.model_copy(update={"batch_size": 16}))


def cifar(device: torch.device) -> Task:
    """That of configs/cifar.yaml."""
    return of_study("configs/cifar.yaml", "configs/cifar.yaml", 50_000, 100, device)


def of_study(path: str, name: str, count: int, classes: int, device: torch.device) -> Task:
    """The source training of a configuration."""
    run = run_of(yaml.safe_load((REPOSITORY / path).read_text(encoding="utf-8")))
    entering = InputSettings.read(run.input_of(run.source))
    settings = run.settings
    return Task(name, settings.architecture, entering, settings.source_training, count, classes, device)


def resnets(device: torch.device) -> Iterator[Task]:
    """ResNet-18 on as many images as CIFAR-100 and Tiny-ImageNet have, as they have them."""
    for side, count, classes in ((32, 50_000, 100), (64, 100_000, 200)):
        training = TrainingSettings(epochs=16, batch_size=256, crop="translate", padding=side // 8)
        entering = InputSettings(resolution=side, crop_ratio=1.0)
        network = NetworkSettings(name="resnet18", resolution=side)
        yield Task(f"ResNet-18 at {side} px", network, entering, training, count, classes, device)


# Checks


def check(task: Task, extent: Extent) -> bool:
    """Print whether blocks are equal that must be; returns whether they are."""
    steps = extent.checked
    blocks = {
        name: [weights(model.network) for model in implementation(task.device, models)(jobs)]
        for name, models, jobs in (
            ("sequential", 0, task.jobs(4, steps, precision="float32")),
            ("graphs, 4", 4, task.jobs(4, steps, precision="float32")),
            ("again", 4, task.jobs(4, steps, precision="float32")),
            ("graphs, 1", 1, task.jobs(4, steps, precision="float32")),
        )
    }
    apart = {name: deviation(blocks["graphs, 4"], found) for name, found in blocks.items()}
    bound = BOUND if task.device.type == "cuda" else 0.0
    good = apart["again"] == apart["graphs, 1"] == 0 and apart["sequential"] <= bound
    print(
        f"{task.name}, 4 models after {steps} steps in float32: {'passed' if good else 'FAILED'}; weights of "
        f"graphs differ by {apart['again']:.1e} when run again, by {apart['graphs, 1']:.1e} with one in "
        f"flight, from sequential by {apart['sequential']:.1e} of their length (bound {bound:.0e})",
        flush=True,
    )
    return good


def weights(network: torch.nn.Module) -> torch.Tensor:
    """All parameters and buffers in a row, in float64."""
    return torch.cat([tensor.detach().double().flatten() for tensor in network.state_dict().values()])


def deviation(found: list[torch.Tensor], others: list[torch.Tensor]) -> float:
    """The largest length of a difference, as a share of the length."""
    pairs = zip(found, others, strict=True)
    return max(float((one - other).norm() / one.norm()) for one, other in pairs)


# Costs and peaks


class Bytes(TorchDispatchMode):
    """Counts the bytes of the operands of every operation that is no view."""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, operation, types, arguments=(), named=None):
        """Do it and count."""
        result = operation(*arguments, **(named or {}))
        if not operation.is_view and "empty" not in operation.name():
            # Of what is picked from, all images perhaps, as much is read as is written.
            picking = operation.name().startswith("aten::index")
            for tensor in pytree.tree_leaves((result, result if picking else (arguments, named))):
                if torch.is_tensor(tensor):
                    whole = tensor.numel() * tensor.element_size()
                    self.total += min(whole, tensor.untyped_storage().nbytes())
        return result


@dataclass(frozen=True)
class Cost:
    """Of one image: bytes read or written, and floating-point operations."""

    bytes: float
    operations: float

    @classmethod
    def of(cls, task: Task) -> "Cost":
        """Counted in steps of the training loop, augmentation and optimiser included."""
        (job,), steps = task.jobs(1, 2), 2
        network, training = task.network(0).train(), job.recipe.training
        given = task.images, job.data.positions, training, 0, steps
        with FlopCounterMode(display=False) as flops, Bytes() as moved:
            engine.train(network, network.parameters(), *given)
        images = steps * training.batch_size
        return cls(moved.total / images, flops.get_total_flops() / images)

    def __str__(self) -> str:
        return f"{self.bytes / 1e6:.2f} MB and {self.operations / 1e9:.3f} GFLOP an image"


@dataclass(frozen=True)
class Peaks:
    """What the device does at best: bytes copied, and floating-point operations in products, a second."""

    copy: float
    products: float

    @classmethod
    def measure(cls, device: torch.device, training: TrainingSettings, extent: Extent) -> "Peaks":
        """Measure both, the latter in the training's arithmetic."""
        size, side = extent.copied, extent.side
        one, other = (torch.zeros(size, dtype=torch.uint8, device=device) for _ in range(2))
        copy = best(lambda: one.copy_(other), device)
        kind = devices.precision(training.precision, device)
        left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
        return cls(2 * size / copy, 2 * side**3 / best(lambda: left @ right, device))


def best(work: Callable[[], object], device: torch.device, times: int = 10) -> float:
    """The shortest of several times of some work, in seconds, after one that is not counted."""
    seconds(work, device)
    return min(seconds(work, device) for _ in range(times))


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """How long some work takes, until the device has done it."""
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started


@dataclass(frozen=True)
class Row:
    """What was measured of a way to train.

    Attributes:
        models: in flight; 0 for one after the other.
        step, set_up: seconds, of one model's step and of one model.
    """

    models: int
    step: float
    set_up: float

    @classmethod
    def measure(cls, task: Task, models: int, short: int, budget: float) -> "Row":
        """Train a block for a few steps, twice, and for as many as the budget of seconds allows."""
        train, count = implementation(task.device, models), max(models, 1)

        def lasting(steps: int) -> float:
            return seconds(lambda: train(task.jobs(count, steps)), task.device)

        lasting(short)
        few = lasting(short)
        many = max(2 * short, int(short * budget / few))
        step = (lasting(many) - few) / (count * (many - short))
        return cls(models, step, few / count - short * step)

    def cells(self, task: Task, cost: Cost, peaks: Peaks, reference: "Row | None") -> list[str]:
        """Its row of the table; the ratio is to the reference's images a second, by default its own."""
        how = f"graphs, {self.models}" if self.models else "sequential"
        rate = task.training.batch_size / self.step
        return [
            how.split(",")[0],
            str(self.models or 1),
            f"{rate:,.0f}",
            f"{(reference or self).step / self.step:.2f}",
            f"{self.set_up:.2f}",
            f"{3600 / (self.set_up + task.steps * self.step):,.0f}",
            f"{rate * cost.bytes / peaks.copy:.0%}",
            f"{rate * cost.operations / peaks.products:.0%}",
        ]


if __name__ == "__main__":
    sys.exit(main())
