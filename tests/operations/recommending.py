"""A small question about photographs of one's own, and the run that it is composed to."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from transferlens.capabilities import run_of
from transferlens.comparison import scope
from transferlens.core.run import Run
from transferlens.core.settings import NetworkSettings
from transferlens.operations.recommend import composing, images
from transferlens.operations.recommend.composing import Question, Shards
from transferlens.operations.recommend.pricing import Prices

TARGET = "my-photos"
COUNTS = {"red fox": 20, "hare": 10, "owl": 6}


def draw_photos(root: Path) -> Path:
    """Three classes that are not divided; names with spaces."""
    rng, folder = np.random.default_rng(0), root / "my photos"
    for name, count in COUNTS.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 256, (20, 24, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i} x.png")
    return folder


def question_about(photos: Path) -> Question:
    """Of a small network, keeping digits."""
    target = images.read_target(photos, 0.3, 0)
    return Question(
        network=NetworkSettings(name="small_resnet", width=8, resolution=16),
        weights=str(photos.parent / "net.pt"),
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
        crop_ratio=1.0,
        target=target,
        kept=images.read_kept([], 0.3, 0, target.name),
        names=["full", "fixed", "ema", "lwf"],
        trials=3,
        models=2,
        epochs=2,
        flip=False,
        seed=0,
    )


def composed(question: Question, root: Path, shards: Shards | None = None) -> Run:
    """The run of a question."""
    torch.save({}, question.weights)
    composing.write_tables(question, root / "images")
    shards = shards or Shards(question.models, question.trials)
    return run_of(composing.compose(question, root / "images", shards))


def prices_of(run: Run) -> Prices:
    """A second a start, a millisecond an image, ten seconds a model, twenty a trial."""
    names = [one.name for one in scope.contestants(run, TARGET)]
    return Prices(1.0, 0.001, dict.fromkeys(["fixed", *names], 10.0), dict.fromkeys(names, 20.0))
