"""What networks make of probe images, written as the step of activity writes it."""

from contextlib import ExitStack

import numpy as np
import torch

from transferlens.core import artefacts, studies
from transferlens.core.studies import FULL, SCRATCH, Rows
from transferlens.dynamics.activity.artefacts import ACTIVITY
from transferlens.dynamics.similarity import grams
from transferlens.dynamics.told.probed import Probed

BATCH = 16


def write(path, features, steps=None, classes=None, accuracy=True, pixels=None):
    """Features [models, steps, layers, images, channels]; even models saw the source, odd ones nothing.

    Images are of the named classes in turn; pixels [images, ...] are noise where they are not given.
    """
    features = np.asarray(features, np.float32)
    models, kept, layers, images, channels = features.shape
    classes = classes or ["a"]
    if pixels is None:
        pixels = np.random.default_rng(99).normal(size=(images, 12))
    with artefacts.create(path, ACTIVITY) as out:
        studies.write_rows(out, rows(models))
        out.write("step", [0, *(2**i for i in range(kept - 1))] if steps is None else steps)
        out.write("layer", [f"layer{i}" for i in range(layers)])
        out.write("channel_layer", np.repeat(np.arange(layers), channels))
        out.write("example", [f"image{i}" for i in range(images)])
        out.write("example_class", [classes[i % len(classes)] for i in range(images)])
        out.write("input_gram", packed(pixels))
        out.write(
            "gram", [[[packed(own[layer]) for own in model] for layer in range(layers)] for model in features]
        )
        out.write("pooled", features.swapaxes(2, 3).reshape(models, kept, images, -1))
        if accuracy:
            out.write("accuracy", np.linspace(0, 1, models * kept).reshape(models, kept))
        out.write("state", [["" for _ in range(kept)] for _ in range(models)])
        out.attribute("code", "")
        out.attribute("images", "")
    return path


def rows(models):
    """Pairs of a model of the whole source and one from scratch."""
    numbers = np.arange(models)
    return Rows(
        np.repeat((numbers % 2 == 0)[:, None], 2, axis=1), numbers, numbers // 2,
        [SCRATCH if row % 2 else FULL for row in numbers], numbers // 2, [""] * models, 0 * numbers,
        ["u", "v"], ["", ""],
    )  # fmt: skip


def packed(values):
    """Rows of Grams [batches, pairs] of features [images, ...], in batches of BATCH."""
    batches = torch.from_numpy(np.asarray(values, np.float32)).split(BATCH)
    return np.concatenate([grams.batch_rows({"": own}).numpy() for own in batches])


def opened(path, name="target"):
    """As what is told reads it; to be used in a `with` block."""
    stack = ExitStack()
    stack.probed = Probed([path], name, stack)
    return stack
