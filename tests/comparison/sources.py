"""Source models of textures, as the workflow stores them."""

from contextlib import contextmanager

import numpy as np
import torch

from tests.conftest import ARCHITECTURE, CLASSES, INPUT, TRAINING, rows_of
from transferlens.core import artefacts
from transferlens.data import pipeline
from transferlens.training import source
from transferlens.training.artefacts import SOURCE_MODELS
from transferlens.training.recipes.settings.plain import FullSettings
from transferlens.training.transfer import Start


def opened(dataset):
    """(Index, train images, val images) of a data set's raw files, resident."""
    made, files = dataset
    place = torch.device("cpu")
    return made, *(
        pipeline.open_images(files["raw"][s], made.split(s), INPUT, place) for s in ("train", "val")
    )


def write_sources(path, dataset):
    """A shard of two models of the whole source; returns its path."""
    _, images, val = opened(dataset)
    source.train_shard(
        path, rows_of(np.ones((2, 3))), images.examples.labels, list(CLASSES), images, val,
        ARCHITECTURE, FullSettings(training=TRAINING), False,
    )  # fmt: skip
    return path


@contextmanager
def start_of(path, row=0):
    """Where a transfer of a row begins."""
    with artefacts.open(path, SOURCE_MODELS) as file:
        yield Start(file, row, ARCHITECTURE)
