"""Source models of textures, as the workflow stores them."""

from contextlib import contextmanager

import numpy as np

from tests.conftest import ARCHITECTURE, CLASSES, TRAINING, rows_of
from transferlens.core import artefacts
from transferlens.training import source
from transferlens.training.artefacts import SOURCE_MODELS
from transferlens.training.recipes.settings.plain import FullSettings
from transferlens.training.transfer import Start


def write_sources(path, textures, models):
    """A shard of models of the whole source; returns its path."""
    _, images, val = textures
    source.train_shard(
        path, rows_of(np.ones((models, 3))), images.examples.labels, list(CLASSES), images, val,
        ARCHITECTURE, FullSettings(training=TRAINING), False,
    )  # fmt: skip
    return path


@contextmanager
def start_of(path, row=0):
    """Where a transfer of a row begins."""
    with artefacts.open(path, SOURCE_MODELS) as file:
        yield Start(file, row, ARCHITECTURE)
