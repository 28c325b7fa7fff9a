"""Real runs of recipes on the textures, and the same written out in plain torch."""

import copy

import numpy as np
import torch

from tests.conftest import ARCHITECTURE, TRAINING, changed
from transferlens.data.pipeline import Pass
from transferlens.training import recipes, schedule, source
from transferlens.training.block import train_block
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.kinds import read
from transferlens.training.runs import Job

SEED = 11
SOURCE_CLASSES = 5
SHORT = changed(TRAINING, epochs=1)


def source_network():
    """A network of random weights, with running statistics of its own, in evaluation mode."""
    network = source.initial_network(ARCHITECTURE, SOURCE_CLASSES, 3).to(memory_format=torch.channels_last)
    with torch.no_grad():
        for name, buffer in network.named_buffers():
            if name.endswith("running_mean"):
                buffer.uniform_(-0.1, 0.1)
    return network.eval().requires_grad_(False)


def adapting(from_source):
    """The backbone of a source under a fresh head of three classes, and the generator seeded."""
    network = copy.deepcopy(from_source).requires_grad_(True)
    torch.manual_seed(SEED)
    network.head = torch.nn.Linear(network.head.in_features, 3)
    return network


def settings_of(kind, training=SHORT, **given):
    return read({"kind": kind, "training": training.model_dump(), **given})


def run(images, settings, from_source=None):
    """(trained network, the source after it, log) of a whole job."""
    kept = from_source or source_network()
    data = Data(images, np.arange(len(images)))
    job = Job(lambda: adapting(kept), data, settings, SEED, lambda: kept)
    (model,) = train_block([job])
    return model.network, kept, model.log


def started(settings, images, network=None, from_source=None):
    """A recipe at the start of its first phase."""
    kept = from_source or source_network()
    recipe = recipes.make(settings)
    recipe.start(network or adapting(kept), kept, Data(images, np.arange(len(images))), SEED)
    return recipe


def by_hand(images, network, groups, loss, training=SHORT):
    """Train a network in plain torch: `loss` of a batch and its labels, groups as torch takes them."""
    factors = [group.pop("rate", 1.0) for group in groups]
    optimiser = torch.optim.SGD(groups, lr=0.0, momentum=training.momentum)
    network.train()
    step = 0
    for epoch in range(training.epochs):
        for batch, labels in images.training_batches(Pass(np.arange(90), training, 16, epoch, SEED, 28, 0)):
            optimiser.zero_grad()
            loss(batch, labels).backward()
            for group, factor in zip(optimiser.param_groups, factors, strict=True):
                group["lr"] = schedule.learning_rate(training, step, 5) * factor
            optimiser.step()
            step += 1
    return network


def assert_same(network, expected, **tolerance):
    tolerance = tolerance or {"rtol": 0, "atol": 0}
    torch.testing.assert_close(network.state_dict(), expected.state_dict(), **tolerance)
