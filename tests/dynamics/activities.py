"""What networks make of probe images, written as the step of activity writes it."""

from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from transferlens.core import artefacts, studies
from transferlens.core.studies import FULL, SCRATCH, Rows
from transferlens.dynamics.activity.artefacts import ACTIVITY
from transferlens.dynamics.similarity import grams
from transferlens.dynamics.told.probed import Probed

BATCH = 16


def write(path, features, classes=("a",), steps=None, first_row=0, accuracy=True):
    """Features [models, steps, layers, images, channels]; even models saw the source, odd ones nothing.

    Images are of these classes in turn; their pixels are noise.
    """
    features = np.asarray(features, np.float32)
    models, kept, layers, images, channels = features.shape
    with artefacts.create(path, ACTIVITY) as out:
        studies.write_rows(out, rows(first_row + np.arange(models)))
        out.write("step", [0, *(2**i for i in range(kept - 1))] if steps is None else steps)
        out.write("layer", [f"layer{i}" for i in range(layers)])
        out.write("channel_layer", np.repeat(np.arange(layers), channels))
        out.write("example", [f"image{i}" for i in range(images)])
        out.write("example_class", [classes[i % len(classes)] for i in range(images)])
        out.write("input_gram", packed(pixels(images)))
        out.write(
            "gram", [[[packed(of) for of in own] for own in model] for model in features.swapaxes(1, 2)]
        )
        out.write("pooled", features.swapaxes(2, 3).reshape(models, kept, images, -1))
        if accuracy:
            out.write("accuracy", np.linspace(0, 1, models * kept).reshape(models, kept))
        out.write("state", [[""] * kept] * models)
        out.attribute("code", "")
        out.attribute("images", "")
    return path


def rows(numbers):
    """Pairs of a model of the whole source and one from scratch, of a source of one class."""
    roles = [SCRATCH if number % 2 else FULL for number in numbers]
    seen = numbers[:, None] % 2 == 0
    return Rows(
        seen, numbers, numbers // 2, roles, numbers // 2, [""] * len(roles), 0 * numbers, ["unit"], [""]
    )


def pixels(images):
    """Noise [images, 12]."""
    return np.random.default_rng(99).normal(size=(images, 12))


def packed(values):
    """Rows of Grams [batches, pairs] of features [images, ...], in batches of BATCH."""
    batches = torch.from_numpy(np.asarray(values, np.float32)).split(BATCH)
    return np.concatenate([grams.batch_rows({"": own}).numpy() for own in batches])


@contextmanager
def probed(*paths, name="target"):
    """Shards as what is told reads them."""
    with ExitStack() as stack:
        yield Probed(paths, name, 99, stack)


def walks(seed=0, models=4, steps=4, layers=2, images=64, channels=5, speeds=None):
    """Features that leave their start at a steady pace in a direction of their own, later layers faster."""
    rng = np.random.default_rng(seed)
    start, away = rng.normal(size=(2, models, 1, layers, images, channels))
    speeds = np.linspace(0.2, 1, layers) if speeds is None else np.array(speeds)
    return start + np.arange(steps)[:, None, None, None] * speeds[:, None, None] * away
