"""Recorded steps on a GPU: equal to one model after the other within a bound, and to themselves bit for bit.

Written without a GPU at hand; all else of `graphs` is tested on the CPU (tests/training/test_graphs.py).
"""

import numpy as np
import pytest
import torch

from tests.conftest import INPUT, TRAINING, changed
from tests.training.adapting import SEED, assert_same, initial, settings
from transferlens.data import pipeline
from transferlens.training import device as devices
from transferlens.training.block import Job, train_block
from transferlens.training.recipes.base import Data

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA GPU")

# Of the length of the weights, after a few steps in float32, in which recorded ones read their learning rate.
BOUND = 1e-4
AUGMENTED = changed(TRAINING, epochs=2, crop="random_resized", flip=True)
ADAM = changed(AUGMENTED, optimizer="adamw", lr=0.01, clip=0.5)


@pytest.fixture(scope="module")
def images(dataset):
    """Of the training split, on the GPU."""
    made, files = dataset
    return pipeline.open_images(files["raw"]["train"], made.split("train"), INPUT, devices.pick())


def block(images, training, implementation, models):
    """Five models of unequal numbers of images, from copies of one network."""

    def job(model):
        data = Data(images, np.arange(30 + 15 * model))
        return Job(lambda: initial().to(images.device), data, settings("full", training), SEED + model)

    return list(train_block([job(model) for model in range(5)], implementation, models))


@pytest.mark.parametrize("training", [AUGMENTED, ADAM, changed(AUGMENTED, precision="auto")])
def test_recorded_steps_repeat_and_do_not_depend_on_the_number_in_flight(images, training):
    first = block(images, training, "graphs", 4)
    for models in (4, 1, 3):
        for one, other in zip(first, block(images, training, "graphs", models), strict=True):
            assert_same(one.network, other.network)
            np.testing.assert_array_equal(one.log, other.log)
    assert {model.implementation for model in first} == {"graphs"}


@pytest.mark.parametrize("training", [AUGMENTED, ADAM])
def test_recorded_steps_agree_with_one_model_after_the_other(images, training):
    for one, other in zip(
        *(block(images, training, name, 4) for name in ("graphs", "sequential")), strict=True
    ):
        found, expected = (
            torch.cat([tensor.double().flatten() for tensor in model.network.state_dict().values()])
            for model in (one, other)
        )
        assert (found - expected).norm() <= BOUND * expected.norm()
        np.testing.assert_allclose(one.log, other.log, rtol=1e-3, atol=1e-4)
