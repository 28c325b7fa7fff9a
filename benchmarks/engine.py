"""Training many small networks: side by side (`grouped`) against one after the other (`sequential`).

Models of several networks, each on random images of its own number, with the settings of `config.yaml`:
CPU seconds for an image of a step, data and all. The ways take turns; the table shows medians over the
rounds, as ratios to `sequential`, and whether all sizes of a block gave the same bits.

    python benchmarks/engine.py
    python benchmarks/engine.py --precision bfloat16 --rounds 5

With `--accuracy`, so many source models of `config.yaml` on their real images are trained both ways instead,
each on four fifths of the images of a random half of the classes: CPU seconds in all, and the mean difference
of their accuracies on the other fifth with its 95 % interval over models.

    python benchmarks/engine.py --accuracy 64
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import scipy
import torch
from tables import print_table
from training import Task, default_study, prepare

from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.operations.rate import RandomImages
from transferlens.training import engine, source
from transferlens.training.block import train_block
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.settings.plain import FullSettings
from transferlens.training.runs import Job, Trained

# Network, width, side of images, batch.
NETWORKS = {
    "small_resnet, 8 channels, 28 px": (NetworkSettings(name="small_resnet", width=8), 28, 64),
    "small_resnet, 16 channels, 28 px": (NetworkSettings(name="small_resnet", width=16), 28, 64),
    "small_resnet, 32 channels, 32 px": (NetworkSettings(name="small_resnet", width=32), 32, 64),
    "resnet18, 32 px": (NetworkSettings(name="resnet18"), 32, 32),
}
AT_ONCE = (2, 4, 8, 16)
BLOCK = 8
STEPS = 4
CLASSES = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--precision", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--networks", type=int, default=len(NETWORKS), help="how many of them, from the first"
    )
    parser.add_argument("--accuracy", type=int, help="train so many source models both ways instead")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.accuracy:
        compare_accuracies(arguments.accuracy)
        return
    rows = [
        row_of(name, arguments.precision, arguments.rounds) for name in list(NETWORKS)[: arguments.networks]
    ]
    print_table(
        f"One thread, {arguments.precision}: ratios of CPU time to one after the other",
        ["network", "ms an image", *(f"{number} side by side" for number in AT_ONCE), "same bits"],
        rows,
    )


def row_of(name: str, precision: str, rounds: int) -> list[str]:
    """The measurements of one network as a row of the table."""
    jobs = jobs_of(*NETWORKS[name], precision)
    ways = {0: partial(train, jobs, "sequential", 2)}
    ways |= {number: partial(train, jobs, "grouped", number) for number in AT_ONCE}
    results = {way: run() for way, run in ways.items()}  # warms up, too
    measured = [{way: seconds(run) for way, run in ways.items()} for _ in range(rounds)]
    median = {way: statistics.median(one[way] for one in measured) for way in ways}
    images = sum(len(job.data.positions) for job in jobs)
    ratios = [f"{median[0] / median[number]:.2f}" for number in AT_ONCE]
    same = all(equal(results[AT_ONCE[0]], results[number]) for number in AT_ONCE)
    return [name, f"{1000 * median[0] / images:.3f}", *ratios, "yes" if same else "NO"]


def jobs_of(network: NetworkSettings, side: int, batch: int, precision: str) -> list[Job]:
    """As many models as the largest block holds, each with a seed and a number of images of its own."""
    changes = {"epochs": 1, "lr_peak_epoch": 0, "batch_size": batch, "precision": precision}
    training = default_study().settings.source_training.supervised().model_copy(update=changes)
    given = InputSettings(resolution=side, crop_ratio=1.0)
    images = RandomImages(STEPS * batch, given, torch.device("cpu"), CLASSES)
    return [
        Job(
            partial(source.new_network, network, CLASSES, images.device, number),
            Data(images, np.arange((STEPS - number % 2) * batch)),
            FullSettings(training=training),
            number,
        )
        for number in range(AT_ONCE[-1])
    ]


def train(jobs: Sequence[Job], implementation: str, at_once: int) -> list[Trained]:
    """All models."""

    def demanding(job: Job) -> Job:
        training = job.recipe.training.model_copy(update={"implementation": implementation})
        return Job(job.network, job.data, FullSettings(training=training), job.seed)

    return list(train_block(map(demanding, jobs), at_once))


def compare_accuracies(models: int) -> None:
    """Train source models of the default study both ways, in turns of a block, and compare them."""
    with tempfile.TemporaryDirectory() as folder:
        task = prepare(Path(folder))
        examples = index.read_index(task.folder / "index.h5")
        images = pipeline.ResidentImages(
            task.folder / "train.beton", examples.train, task.input, torch.device("cpu")
        )
        measured = [Accuracies(images, task, number) for number in range(models)]
        spent = dict.fromkeys(("sequential", "grouped"), 0.0)
        for start in range(0, models, BLOCK):
            for implementation in spent:
                block = measured[start : start + BLOCK]
                began = time.process_time()
                trained = train([one.job for one in block], implementation, BLOCK)
                spent[implementation] += time.process_time() - began
                for one, model in zip(block, trained, strict=True):
                    one.measure(implementation, model)
    differences = np.array([one.of["grouped"] - one.of["sequential"] for one in measured])
    half = scipy.stats.t.ppf(0.975, models - 1) * differences.std(ddof=1) / np.sqrt(models)
    means = {name: np.mean([one.of[name] for one in measured]) for name in spent}
    print_table(
        f"{models} source models of the default study, blocks of {BLOCK}",
        ["", "accuracy", "CPU seconds"],
        [[name, f"{means[name]:.4f}", f"{spent[name]:.0f}"] for name in spent],
    )
    print(f"grouped minus sequential: {differences.mean():+.5f} +- {half:.5f}")


class Accuracies:
    """A model on a random half of the classes, and its accuracy by the way it was trained."""

    def __init__(self, images: pipeline.ResidentImages, task: Task, number: int):
        classes = np.random.default_rng(number).permutation(task.classes)[: task.classes // 2]
        self.held_out = np.isin(images.examples.labels, classes) & (np.arange(len(images)) % 5 == 0)
        seen = np.isin(images.examples.labels, classes) & ~self.held_out
        self.images, self.of = images, {}
        network = partial(source.new_network, task.architecture, task.classes, images.device, number)
        settings = FullSettings(training=task.training)
        self.job = Job(network, Data(images, np.flatnonzero(seen)), settings, number)

    def measure(self, implementation: str, model: Trained) -> None:
        """Note the accuracy on the images of the model's classes that it was not trained on."""
        positions = np.flatnonzero(self.held_out)
        logits = engine.evaluate_some(model.network.eval(), self.images, positions)
        self.of[implementation] = (logits.argmax(1).numpy() == self.images.examples.labels[positions]).mean()


def seconds(run) -> float:
    """CPU time of a call."""
    started = time.process_time()
    run()
    return time.process_time() - started


def equal(ones: Sequence[Trained], others: Sequence[Trained]) -> bool:
    """Whether models are the same to the bit."""
    return all(
        torch.equal(tensor, other.network.state_dict()[name])
        for one, other in zip(ones, others, strict=True)
        for name, tensor in one.network.state_dict().items()
    )


if __name__ == "__main__":
    main()
