"""Writing FFCV files and reading them, beside FFCV itself and a torchvision loader, on real images.

Writing, images a second into a raw file:

* FFCV's own DatasetWriter over torchvision's ImageFolder;
* the project, `ffcv_writing.write_beton` over its image folder (which also meets broken images);
* and the project's index, which decodes every image once before (not part of the comparison).

Reading, images a second of one pass, with evaluation crops in order and with random resized crops shuffled:

* FFCV's own Loader with its own decoders;
* the project's loaders, with the same decoder or, for random crops, its seeded one;
* the batches that training sees (`StreamingImages`), standardised and mirrored;
* torchvision's ImageFolder with the same crops, and torch's DataLoader with as many workers.

All use the given number of workers. Each is run once to warm up (FFCV compiles), then they are timed in
turn; the table shows medians, the ratio to FFCV in each round by its median, lowest and highest, and the
CPU time of an image, which other processes on the machine disturb less than the clock.

    python benchmarks/data.py ARCHIVE_OR_FOLDER [--limit 20000] [--side 64] [--workers 2] [--rounds 5]
"""

import argparse
import os
import resource
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr
from dataclasses import dataclass
from functools import partial
from io import StringIO
from pathlib import Path

import numpy as np
import torch
from tables import print_table
from torchvision.datasets import ImageFolder
from torchvision.transforms import v2

from transferlens.core.settings import DatasetSettings, InputSettings, TrainingSettings
from transferlens.data import ffcv_files, ffcv_writing, index, index_making, pipeline, sources, splits
from transferlens.data.pipeline import Pass

BATCH = 256
WRITTEN: list[Path] = []  # files of earlier passes, removed before the clock starts
SCALE = (0.08, 1.0)


@dataclass(frozen=True)
class Task:
    """The images, and where FFCV files of them are written.

    Attributes:
        plain: the training images as torchvision's ImageFolder gives them.
        images: the project's view of the same.
        made: its index.
        place: a folder for what is written.
        side: side of the images in a batch, in pixels.
        workers: processes or threads of every contender.
    """

    plain: torch.utils.data.Dataset
    images: splits.ImageSet
    made: index.Index
    place: Path
    side: int
    workers: int

    @property
    def beton(self) -> Path:
        return self.place / "project.beton"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("images", type=Path, help="an image folder, or an archive of one")
    parser.add_argument("--limit", type=int, default=20_000, help="training images used")
    parser.add_argument("--side", type=int, default=64)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    torch.set_num_threads(given.workers)
    os.environ["OMP_NUM_THREADS"] = str(given.workers)  # what jobs of the workflow read
    with tempfile.TemporaryDirectory() as place:
        task = prepare(given.images, Path(place), given.limit, given.side, given.workers)
        compare(task, given.rounds, "Writing", writers(task))
        compare(task, given.rounds, "Reading centre crops in order", ordered_readers(task))
        compare(task, given.rounds, "Reading random resized crops, shuffled", shuffled_readers(task))


def prepare(origin: Path, place: Path, limit: int, side: int, workers: int) -> Task:
    """Unpack and index the images, and write their FFCV file."""
    settings = DatasetSettings(path=str(origin))
    images = sources.open_image_set("unpacked", settings, place, download=False)
    per_class = max(1, limit // len(images.class_names))
    settings = DatasetSettings(path=str(origin), train_per_class=per_class, val_per_class=2)
    started = time.perf_counter()
    made, _ = index_making.make_index("benchmark", images, settings, seed=0)
    decoded = len(made.train) + len(made.val)
    print(f"index: {decoded / (time.perf_counter() - started):,.0f} images a second decoded and checked\n")
    everything = ImageFolder(str((origin if origin.is_dir() else place / "unpacked") / "train"))
    plain = torch.utils.data.Subset(everything, made.train.positions.tolist())
    task = Task(plain, images, made, place, side, workers)
    write_project(task, task.beton)
    ffcv_writing.write_manifest(task.beton.with_suffix(".h5"), task.beton, len(made.train))
    return task


def compare(task: Task, rounds: int, title: str, contenders: dict[str, Callable[[], None]]) -> None:
    """Time the contenders in turn; the first is what the others are compared with."""
    n = len(task.made.train)
    passes = {name: enough_passes(run) for name, run in contenders.items()}
    # [rounds, contenders, wall and CPU], seconds an image
    seconds = np.array(
        [[timed(run, passes[name]) for name, run in contenders.items()] for _ in range(rounds)]
    )
    seconds /= n * np.array([[passes[name]] for name in contenders])
    ratios = seconds[:, :1, 0] / seconds[:, :, 0]
    rows = []
    for c, name in enumerate(contenders):
        wall, cpu = np.median(seconds[:, c], axis=0)
        cells = (np.median(ratios[:, c]), ratios[:, c].min(), ratios[:, c].max())
        rows.append([name, f"{1 / wall:,.0f}", *(f"{cell:.2f}" for cell in cells), f"{1e6 * cpu:,.1f}"])
    header = ["", "images a second", "ratio", "lowest", "highest", "CPU us an image"]
    print_table(f"{title}: {n:,} images, {task.workers} workers", header, rows)


def enough_passes(run: Callable[[], None]) -> int:
    """So many passes that they take about two seconds; the first one, in which FFCV compiles, aside."""
    timed(run, 1)
    return max(1, round(2 / timed(run, 1)[0]))


def timed(run: Callable[[], None], passes: int) -> tuple[float, float]:
    """Seconds that passes take, on the clock and of CPU time (worker processes included)."""
    for written in WRITTEN:
        Path(written).unlink(missing_ok=True)
    os.sync()  # nobody pays for what another has left in the disk's queue
    started = time.perf_counter(), cpu_seconds()
    for _ in range(passes):
        run()
    return time.perf_counter() - started[0], cpu_seconds() - started[1]


def cpu_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(part.ru_utime + part.ru_stime for part in used)


def writers(task: Task) -> dict[str, Callable[[], None]]:
    WRITTEN.extend(task.place / f"{name}.beton" for name in ("ffcv", "again"))
    return {
        "FFCV's DatasetWriter, ImageFolder": partial(write_ffcv, task, WRITTEN[0]),
        "project's write_beton": partial(write_project, task, WRITTEN[1]),
    }


def write_ffcv(task: Task, path: Path) -> None:
    from ffcv.fields import IntField, RGBImageField
    from ffcv.writer import DatasetWriter

    fields = {"image": RGBImageField(write_mode="raw"), "label": IntField()}
    writer = DatasetWriter(str(path), fields, num_workers=task.workers)
    with redirect_stderr(StringIO()):  # its progress bar
        writer.from_indexed_dataset(task.plain)


def write_project(task: Task, path: Path) -> None:
    ffcv_writing.write_beton(path, task.images.train, task.made.train, DatasetSettings(), task.workers)


def ordered_readers(task: Task) -> dict[str, Callable[[], None]]:
    from ffcv.fields.rgb_image import CenterCropRGBImageDecoder

    project = ffcv_files.center_crop_loader(task.beton, task.side, 1.0, BATCH, task.workers)
    images = streaming(task)
    crops = v2.Compose([v2.CenterCrop(task.side), v2.PILToTensor()])
    return {
        "FFCV's Loader": bare(task, CenterCropRGBImageDecoder((task.side, task.side), 1.0), shuffled=False),
        "project's loader": lambda: exhaust(project),
        "project's evaluation batches": lambda: exhaust(images.evaluation_batches(BATCH)),
        "ImageFolder and DataLoader": torchvision_loader(task, crops, shuffled=False),
    }


def shuffled_readers(task: Task) -> dict[str, Callable[[], None]]:
    from ffcv.fields.rgb_image import RandomResizedCropRGBImageDecoder

    side, everything = task.side, np.arange(len(task.made.train))
    project = ffcv_files.random_crop_loader(task.beton, side, SCALE, BATCH, task.workers)
    images, training = streaming(task), default_training()
    crops = v2.Compose([v2.RandomResizedCrop(side), v2.RandomHorizontalFlip(), v2.PILToTensor()])

    def one_pass() -> None:
        project.restart(everything, 0, BATCH)
        exhaust(project)

    return {
        "FFCV's Loader": bare(task, RandomResizedCropRGBImageDecoder((side, side), SCALE), shuffled=True),
        "project's loader": one_pass,
        "project's training batches": lambda: exhaust(
            images.training_batches(Pass(everything, training, BATCH, 0, 0, side))
        ),
        "ImageFolder and DataLoader": torchvision_loader(task, crops, shuffled=True),
    }


def bare(task: Task, decoder, shuffled: bool) -> Callable[[], None]:
    """FFCV's own loader of images and labels."""
    from ffcv.fields.basics import IntDecoder
    from ffcv.loader import Loader, OrderOption
    from ffcv.transforms import ToTensor

    loader = Loader(
        str(task.beton),
        batch_size=BATCH,
        num_workers=task.workers,
        order=OrderOption.RANDOM if shuffled else OrderOption.SEQUENTIAL,
        drop_last=shuffled,
        pipelines={"image": [decoder, ToTensor()], "label": [IntDecoder(), ToTensor()]},
    )
    return lambda: exhaust(loader)


def torchvision_loader(task: Task, crops, shuffled: bool) -> Callable[[], None]:
    def one_pass() -> None:
        task.plain.dataset.transform = crops
        loader = torch.utils.data.DataLoader(
            task.plain, BATCH, shuffled, num_workers=task.workers, drop_last=shuffled
        )
        exhaust(loader)
        task.plain.dataset.transform = None

    return one_pass


def default_training() -> TrainingSettings:
    """The defaults: random resized crops of SCALE, mirrored."""
    return TrainingSettings(scale=list(SCALE), batch_size=BATCH)


def streaming(task: Task) -> pipeline.Images:
    settings = InputSettings(
        resolution=task.side, crop_ratio=1.0, mean=[0.5] * 3, std=[0.25] * 3, loading="streaming"
    )
    return pipeline.open_images(task.beton, task.made.train, settings, torch.device("cpu"))


def exhaust(batches: Iterable) -> None:
    for _ in batches:
        pass


if __name__ == "__main__":
    main()
