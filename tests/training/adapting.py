"""A recipe on a small network: whole runs of the real loop, and steps by hand."""

import numpy as np
import torch
from torch import nn

from tests.conftest import ARCHITECTURE, TRAINING, changed
from transferlens.models.network import Network, Parts
from transferlens.training import engine, recipes, source
from transferlens.training.block import train_block
from transferlens.training.recipes.base import Data, Recipe
from transferlens.training.recipes.kinds import read
from transferlens.training.recipes.settings.base import RecipeSettings
from transferlens.training.runs import Job, Trained

SEED = 11
# Without weight decay, which some recipes replace; two epochs of five steps.
PLAIN = changed(TRAINING, epochs=2, weight_decay=0)
ADAM = changed(PLAIN, optimizer="adamw", lr=0.01)


def settings(kind: str, training=PLAIN, **others) -> RecipeSettings:
    """Settings of a kind, as they are read."""
    return read({"kind": kind, "training": training.model_dump(), **others})


def initial() -> Network:
    """The source model of all runs."""
    return source.initial_network(ARCHITECTURE, 3, 0).to(memory_format=torch.channels_last)


def trained(images, recipe: RecipeSettings, network=initial, **others) -> Trained:
    """A whole run on all images."""
    (model,) = train_block([Job(network, Data(images, np.arange(len(images))), recipe, SEED, **others)])
    return model


def started(recipe: RecipeSettings, network: Network, images=None) -> Recipe:
    """A recipe at the start of a run."""
    made = recipes.make(recipe)
    made.start(network, None, Data(images, np.arange(0 if images is None else len(images))), SEED)
    return made


def run(recipe: Recipe) -> np.ndarray:
    """The log of a run that has been started."""
    return engine.run(recipe)


def of_one_tensor(weights) -> Network:
    """A float64 backbone of one parameter, `w`, and a head."""
    backbone = nn.Module()
    backbone.w = nn.Parameter(torch.tensor(weights, dtype=torch.float64))
    return Network(backbone, nn.Linear(2, 2).double(), Parts(None, pools=False))


def assert_same(network: nn.Module, expected: nn.Module) -> None:
    """Bit for bit, buffers included."""
    torch.testing.assert_close(network.state_dict(), expected.state_dict(), rtol=0, atol=0)


def differs(network: nn.Module, other: nn.Module) -> bool:
    """Whether any entry of any parameter does."""
    return any(not torch.equal(a, b) for a, b in zip(network.parameters(), other.parameters(), strict=True))
