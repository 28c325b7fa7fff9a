"""One decoded stream for several models (`input.loading: shared`), beside FFCV alone and a stream a model.

JPEG files are written into an FFCV file. Then each contender makes the training batches of some models, each
of which sees a random half of the images, with random resized crops and mirroring; nothing is trained:

* FFCV's own Loader with its own decoder, over as many images as one model sees;
* a stream of its own for one model (`input.loading: streaming`);
* one stream for a block of 1, 2 and 8 models.

The contenders take turns; the table shows medians over the rounds: images that a model gets a second of CPU
time (of all threads), the ratio to FFCV's own Loader by its median, lowest and highest, and images decoded
for every one that a model gets. CPU time, as other processes disturb it less than the clock.

    python benchmarks/stream.py ARCHIVE_OR_FOLDER [--limit 20000] [--side 64] [--workers 1] [--rounds 5]
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tables import print_table

from transferlens.core.seeding import rng_for
from transferlens.core.settings import DatasetSettings, InputSettings, TrainingSettings
from transferlens.data import ffcv_writing, index_making, pipeline, sources
from transferlens.data.index import Examples
from transferlens.data.pipeline import Pass
from transferlens.data.shared import Drawn, Share, SharedImages

BATCH = 128
BLOCKS = (1, 2, 8)


@dataclass(frozen=True)
class Task:
    """The FFCV file of JPEG images, and how they are looked at."""

    beton: Path
    examples: Examples
    input: InputSettings
    training: TrainingSettings
    workers: int

    def half(self, model: int) -> np.ndarray:
        """The positions of the images that a model sees."""
        images = len(self.examples)
        return np.sort(rng_for(0, "half", model).permutation(images)[: images // 2])

    def shares(self, models: int) -> list[Share]:
        """What models take of a pass: whole batches of their halves."""
        halves = [self.half(model) for model in range(models)]
        return [Share(half, BATCH, 0, len(half) // BATCH) for half in halves]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="an image folder of JPEG files, or an archive of one")
    parser.add_argument("--limit", type=int, default=20_000, help="training images used")
    parser.add_argument("--side", type=int, default=64, help="of the batches' images, in pixels")
    parser.add_argument("--workers", type=int, default=1, help="threads that decode")
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.workers)
    with tempfile.TemporaryDirectory() as place:
        compare(prepare(given.images, Path(place), given.limit, given.side, given.workers), given.rounds)


def prepare(origin: Path, place: Path, limit: int, side: int, workers: int) -> Task:
    """Unpack and index the images, and write their FFCV file."""
    images = sources.open_image_set("unpacked", DatasetSettings(path=str(origin)), place, download=False)
    per_class = max(1, limit // len(images.class_names))
    settings = DatasetSettings(path=str(origin), train_per_class=per_class, val_per_class=2, format="jpg")
    made, _ = index_making.make_index("benchmark", images, settings, seed=0)
    beton = place / "train.beton"
    ffcv_writing.write_beton(beton, images.train, made.train, settings, workers)
    ffcv_writing.write_manifest(beton.with_suffix(".h5"), beton, len(made.train))
    return Task(
        beton,
        made.train,
        InputSettings(resolution=side, mean=[0.5] * 3, std=[0.25] * 3, loading="shared"),
        TrainingSettings(batch_size=BATCH),
        workers,
    )


def compare(task: Task, rounds: int) -> None:
    """Time the contenders in turn, after a pass of each in which FFCV compiles."""
    shared = SharedImages(task.beton, task.examples, task.input, torch.device("cpu"), seed=0)
    contenders = {
        "FFCV's Loader": (bare(task), len(task.half(0)), 1.0),
        "a stream of its own": (own_stream(task), delivered(task, 1), 1.0),
    }
    for models in BLOCKS:
        got = delivered(task, models)
        order = Drawn.of(shared.seed, 0, len(task.examples), task.training).order
        decoded = np.any([share.among(order) for share in task.shares(models)], axis=0).sum()
        contenders[f"one stream for {models}"] = (one_stream(task, shared, models), got, decoded / got)
    for run, _, _ in contenders.values():
        run()
    seconds = np.array(
        [[timed(run) / images for run, images, _ in contenders.values()] for _ in range(rounds)]
    )
    ratios = seconds[:, :1] / seconds
    rows = [
        [
            name,
            f"{1 / np.median(seconds[:, c]):,.0f}",
            *(f"{reduce(ratios[:, c]):.2f}" for reduce in (np.median, np.min, np.max)),
            f"{decoded:.2f}",
        ]
        for c, (name, (_, _, decoded)) in enumerate(contenders.items())
    ]
    print_table(
        f"{len(task.examples):,} JPEG images at {task.input.resolution} px, {task.workers} decoding threads",
        ["", "images a CPU second", "ratio", "lowest", "highest", "decoded for each"],
        rows,
    )


def delivered(task: Task, models: int) -> int:
    """Images that models get in one pass, in whole batches."""
    return models * (len(task.half(0)) // BATCH * BATCH)


def timed(run: Callable[[], None]) -> float:
    """Seconds of CPU time of all threads."""
    started = time.process_time()
    run()
    return time.process_time() - started


def bare(task: Task) -> Callable[[], None]:
    """FFCV's own loader of one model's images and labels."""
    from ffcv.fields.basics import IntDecoder
    from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import ToTensor

    side = task.input.resolution
    decoder = RandomResizedCropRGBImageDecoder((side, side), tuple(task.training.scale))
    loader = Loader(
        str(task.beton),
        batch_size=BATCH,
        num_workers=task.workers,
        order=OrderOption.RANDOM,
        indices=task.half(0),
        drop_last=False,
        pipelines={"image": [decoder, ToTensor()], "label": [IntDecoder(), ToTensor()]},
    )
    return lambda: exhaust(loader)


def own_stream(task: Task) -> Callable[[], None]:
    images = pipeline.open_images(task.beton, task.examples, task.input, torch.device("cpu"))
    one = Pass(task.half(0), task.training, BATCH, 0, 0, task.input.resolution)
    return lambda: exhaust(images.training_batches(one))


def one_stream(task: Task, images: SharedImages, models: int) -> Callable[[], None]:
    given = 0, task.input.resolution, task.training, task.shares(models)
    return lambda: exhaust(images.shared_batches(*given))


def exhaust(batches: Iterable) -> None:
    for _ in batches:
        pass


if __name__ == "__main__":
    main()
