"""The arithmetic of task-relatedness, each part against what it cannot do without. One run, one thread.

* transport: exact, between two clouds of 2,500 images, against its matrix of costs;
* learning: a step of a transform, of 1,000 reference and 600 target images in ten classes of 64 features,
  against the transports in it: labels fixed, and learned (from a uniform start plans are wide at first);
* heads: of 4,000 images, 512 features and 100 classes, against the products of matrices in all of its looks;
* a whole relation, with intervals, of each transform.

Seconds are the process's own (CPU), medians of --rounds.

    OMP_NUM_THREADS=1 python benchmarks/relatedness.py [--rounds 3]
"""

import argparse
import statistics
import time
from collections.abc import Callable
from unittest import mock

import numpy as np
from tables import print_table

from transferlens.core.imports import pot
from transferlens.relatedness import learning
from transferlens.relatedness.bound import Options, fit_heads, relate
from transferlens.relatedness.constrained import Problem
from transferlens.relatedness.heads import fit_head
from transferlens.relatedness.tasks import Sample, Task
from transferlens.relatedness.transport import distances, transport

TRANSFORMS = (
    ("FixedAll", "random"),
    ("LearnedA", "random"),
    ("LearnedAll", "hungarian"),
    ("LearnedAll", "uniform"),
)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    pot()  # loaded before anything is timed
    rng = np.random.default_rng(0)
    rows = [*of_transport(rng, rounds), *of_learning(rng, rounds), *of_heads(rng)]
    print_table("Task-relatedness", ["", "CPU seconds", "against", "CPU seconds", "ratio"], rows)
    print_table("Whole relations", ["", "CPU seconds"], of_relations(rng, rounds))


def seconds(function: Callable[[], object], rounds: int) -> float:
    """CPU seconds, the median of some calls after a first one."""
    times = []
    for _ in range(1 + rounds):
        started = time.process_time()
        function()
        times.append(time.process_time() - started)
    return statistics.median(times[1:])


def row(name: str, own: float, other: str, others: float) -> list[str]:
    return [name, f"{own:.3f}", other, f"{others:.3f}", f"{own / others:.1f}"]


def of_transport(rng: np.random.Generator, rounds: int) -> list[list[str]]:
    even = np.full(2500, 1 / 2500)
    rows = []
    for features in (64, 512):
        first, second = rng.normal(size=(2, 2500, features)) + np.array([0, 0.5])[:, None, None]
        cost = distances(first, second)
        costs = seconds(lambda: distances(first, second), rounds)  # noqa: B023
        solving = seconds(lambda: transport(cost, even, even), rounds)  # noqa: B023
        rows.append(
            row(f"transport of 2,500 images, {features} features", solving + costs, "its costs", costs)
        )
    return rows


def task(rng: np.random.Generator, images: int, classes: int, features: int) -> Task:
    """Normal clouds, as many images for the test as for training."""
    labels = np.arange(images) % classes
    means = rng.normal(size=(classes, features)) / 2
    samples = [Sample(means[labels] + rng.normal(size=(images, features)), labels) for _ in range(2)]
    return Task(*samples, classes)


def of_learning(rng: np.random.Generator, rounds: int) -> list[list[str]]:
    reference, target = task(rng, 1000, 10, 64), task(rng, 600, 10, 64)
    heads = fit_heads(reference, target, 0.2)
    rows = []
    for transform, start in TRANSFORMS[1:]:
        options = Options(transform, label_start=start)
        spent, of_both = [], []
        with mock.patch.object(learning, "transport", timed(transport, spent)):
            for _ in range(rounds):
                spent.append(0.0)
                of_both.append(seconds(lambda: relate(reference, target, heads, options, 0), 1))  # noqa: B023
        steps = options.steps + 1
        rows.append(
            row(
                f"a step of {transform}, {start} start",
                statistics.median(of_both) / steps,
                "its transports",
                statistics.median(spent) / 2 / steps,
            )
        )
    return rows


def timed(function: Callable, spent: list[float]) -> Callable:
    """The function, adding its seconds to the last of `spent`."""

    def call(*arguments):
        started = time.process_time()
        result = function(*arguments)
        spent[-1] += time.process_time() - started
        return result

    return call


def of_heads(rng: np.random.Generator) -> list[list[str]]:
    sample = task(rng, 4000, 100, 512).train
    looks = []
    with mock.patch.object(Problem, "_probabilities", counted(Problem._probabilities, looks)):
        started = time.process_time()
        fit_head(sample, 100, 0.2)
        own = time.process_time() - started
    weight, p = rng.normal(size=(100, 512)), rng.normal(size=(4000, 100))
    products = seconds(lambda: (sample.features @ weight.T, p.T @ sample.features), 5)
    return [row(f"a head of 100 classes, {len(looks)} looks", own, "their products", products * len(looks))]


def counted(method: Callable, looks: list[int]) -> Callable:
    def call(*arguments):
        looks.append(1)
        return method(*arguments)

    return call


def of_relations(rng: np.random.Generator, rounds: int) -> list[list[str]]:
    reference, target = task(rng, 1000, 10, 64), task(rng, 600, 10, 64)
    heads = fit_heads(reference, target, 0.2)
    rows = [["heads of both tasks", f"{seconds(lambda: fit_heads(reference, target, 0.2), rounds):.3f}"]]
    for transform, start in TRANSFORMS:
        options = Options(transform, label_start=start)
        took = seconds(lambda: relate(reference, target, heads, options, 0), rounds)  # noqa: B023
        rows.append([f"{transform}, {start} start", f"{took:.3f}"])
    return rows


if __name__ == "__main__":
    main()
