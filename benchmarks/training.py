"""Training throughput of source models: this project against a plain PyTorch loop.

Trains the network of `config.yaml` on its source data set (4,000 images of 28 pixels) with its
settings, in images a second:

* a plain loop in one process with all threads: an `ImageFolder` of PNG files with torchvision's
  transforms through a `DataLoader` (with and without workers), contiguous tensors, `SGD`;
* the project as `snakemake --cores 2` runs it: two jobs at a time with one thread each, summed;
* the same with eight models side by side in each job (`grouped`);
* one job of the project alone, with one thread and with two.

Every measurement is a new process that trains one epoch to warm up and then times the next ones.
The candidates take turns; the table shows medians over the rounds. Ratios are to the faster of the
plain loops.

    python benchmarks/training.py
"""

import multiprocessing
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image
from tables import print_table

from transferlens.capabilities import run_of
from transferlens.core.run import Run
from transferlens.core.settings import InputSettings, NetworkSettings, TrainingSettings
from transferlens.data import ffcv_writing, index, index_making, pipeline, sources, splits
from transferlens.training import engine, source
from transferlens.training.block import train_block
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.settings.plain import FullSettings
from transferlens.training.runs import Job

REPOSITORY = Path(__file__).parents[1]
ROUNDS = 3
EPOCHS = 3  # timed in each round


@dataclass(frozen=True)
class Task:
    """What is trained, and the folder with its images."""

    folder: Path
    classes: int
    input: InputSettings
    architecture: NetworkSettings
    training: TrainingSettings


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        task = prepare(Path(folder))
        candidates = {
            "plain loop, no workers": lambda: measure(plain, task, 0),
            "plain loop, 2 workers": lambda: measure(plain, task, 2),
            "project, two jobs of 1 thread": lambda: measure(project, task, 1, processes=2),
            "project, two jobs of 8 models": lambda: measure(side_by_side, task, 8, processes=2),
            "project, one job of 1 thread": lambda: measure(project, task, 1),
            "project, one job of 2 threads": lambda: measure(project, task, 2),
        }
        rounds = [{name: run() for name, run in candidates.items()} for _ in range(ROUNDS)]
    rates = {name: statistics.median(r[name] for r in rounds) for name in candidates}
    baseline = max(rate for name, rate in rates.items() if name.startswith("plain"))
    print_table(
        f"Training {task.architecture.name}, batches of {task.training.batch_size}",
        ["", "images a second", "ratio"],
        [[name, f"{rate:,.0f}", f"{rate / baseline:.2f}"] for name, rate in rates.items()],
    )


def measure(train: Callable, task: Task, setting: int, processes: int = 1) -> float:
    """Images a second of `train(task, setting)`, summed over processes that start together."""
    context = multiprocessing.get_context("spawn")
    ready, rates = context.Barrier(processes), context.SimpleQueue()
    jobs = [
        context.Process(target=timed, args=(train, task, setting, ready, rates)) for _ in range(processes)
    ]
    for job in jobs:
        job.start()
    for job in jobs:
        job.join()
        if job.exitcode:
            raise SystemExit(f"a training process ended with status {job.exitcode}")
    return sum(rates.get() for _ in jobs)


def timed(train: Callable, task: Task, setting: int, ready, rates) -> None:
    """Put the rate of a training run's epochs after the first into the queue."""
    run = train(task, setting)
    run(1)
    ready.wait()
    started = time.perf_counter()
    images = run(EPOCHS)
    rates.put(images / (time.perf_counter() - started))


def project(task: Task, threads: int) -> Callable[[int], int]:
    """The project's training loop: a function that trains some epochs and counts the images."""
    torch.set_num_threads(threads)
    examples = index.read_index(task.folder / "index.h5").train
    beton, cpu = task.folder / "train.beton", torch.device("cpu")
    images = pipeline.ResidentImages(beton, examples, task.input, cpu)
    network = source.initial_network(task.architecture, task.classes, seed=0)
    network.to(memory_format=torch.channels_last).train()
    positions = np.arange(len(examples))

    def run(epochs: int) -> int:
        training = task.training.model_copy(update={"epochs": epochs, "lr_peak_epoch": 0})
        engine.train(network, network.parameters(), images, positions, training, seed=0)
        return epochs * whole_batches(len(examples), training.batch_size)

    return run


def side_by_side(task: Task, models: int) -> Callable[[int], int]:
    """The project's models side by side, in one thread."""
    torch.set_num_threads(1)
    examples = index.read_index(task.folder / "index.h5").train
    images = pipeline.ResidentImages(task.folder / "train.beton", examples, task.input, torch.device("cpu"))
    data = Data(images, np.arange(len(examples)))

    def run(epochs: int) -> int:
        changes = {"epochs": epochs, "lr_peak_epoch": 0, "implementation": "grouped"}
        recipe = FullSettings(training=task.training.supervised().model_copy(update=changes))
        network = partial(source.new_network, task.architecture, task.classes, images.device)
        jobs = [Job(partial(network, seed), data, recipe, seed) for seed in range(models)]
        deque(train_block(jobs, models), maxlen=0)
        return models * epochs * whole_batches(len(examples), task.training.batch_size)

    return run


def plain(task: Task, workers: int) -> Callable[[int], int]:
    """The usual loop: a function that trains some epochs and counts the images."""
    loader = plain_loader(task, workers)
    training = task.training
    network = source.initial_network(task.architecture, task.classes, seed=0).train()
    criterion = torch.nn.CrossEntropyLoss(label_smoothing=training.label_smoothing)
    optimiser = torch.optim.SGD(
        network.parameters(),
        lr=training.lr,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
    )

    def run(epochs: int) -> int:
        for _ in range(epochs):
            for images, labels in loader:
                optimiser.zero_grad()
                criterion(network(images), labels).backward()
                optimiser.step()
        return epochs * whole_batches(len(loader.dataset), training.batch_size)

    return run


def plain_loader(task: Task, workers: int) -> torch.utils.data.DataLoader:
    from torchvision import datasets, transforms

    transform = transforms.Compose(
        [
            transforms.RandomCrop(task.input.resolution, padding=task.training.padding),
            transforms.ToTensor(),
            transforms.Normalize(task.input.mean, task.input.std),
        ]
    )
    return torch.utils.data.DataLoader(
        datasets.ImageFolder(task.folder / "png", transform),
        task.training.batch_size,
        shuffle=True,
        drop_last=True,
        num_workers=workers,
        persistent_workers=workers > 0,
    )


def whole_batches(images: int, batch_size: int) -> int:
    return images // batch_size * batch_size


def prepare(folder: Path) -> Task:
    """Write the source data set of the default study as an FFCV file and as a folder of PNG files."""
    study = default_study()
    name, dataset = study.source, study.dataset(study.source)
    images = sources.open_image_set(name, dataset, folder / "raw", download=True)
    made, _ = index_making.make_index(name, images, dataset, study.seed)
    index_making.write_index(folder / "index.h5", name, made, [])
    beton = folder / "train.beton"
    ffcv_writing.write_beton(beton, images.train, made.train, dataset, workers=2)
    ffcv_writing.write_manifest(folder / "train.h5", beton, len(made.train))
    write_folder(folder / "png", images.train, made.train)
    return Task(
        folder,
        len(made.class_names),
        InputSettings.read(study.input_of(name)),
        study.settings.architecture,
        study.settings.source_training,
    )


def default_study() -> Run:
    """What `config.yaml` asks for."""
    return run_of(yaml.safe_load((REPOSITORY / "config.yaml").read_text(encoding="utf-8")))


def write_folder(folder: Path, split: splits.Split, examples: index.Examples) -> None:
    """The same images as `<class number>/<image number>.png`."""
    for i, (position, label) in enumerate(zip(examples.positions, examples.labels, strict=True)):
        file = folder / f"{label:04d}" / f"{i}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(split.image(int(position))).save(file)


if __name__ == "__main__":
    main()
