"""What is to be trained, and the run of a recipe from its beginning to its end; how is another matter."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from transferlens.core.errors import ConfigError
from transferlens.core.seeding import seed_for
from transferlens.models.network import Network
from transferlens.training import engine, recipes
from transferlens.training.recipes.base import Data, Recipe
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.recipes.settings.base import RecipeSettings
from transferlens.training.resumption import NOTHING, Kept


@dataclass(frozen=True)
class Job:
    """One model to be trained.

    Attributes:
        network: makes the network to adapt, on the device of the data. Whatever is drawn at random after it
            (dropout) goes on from the generator's state that it leaves: it must seed it.
        recipe: the settings of its kind.
        source: makes the source network with its own head, for recipes that keep it.
        checkpoints: networks kept along the way (of the first run, where a recipe takes several).
        kept: what is left of the job if it was interrupted, and where it is kept.
    """

    network: Callable[[], Network]
    data: Data
    recipe: RecipeSettings
    seed: int
    source: Callable[[], Network] | None = None
    checkpoints: engine.Checkpoints = engine.NONE
    kept: Kept = NOTHING


@dataclass(frozen=True)
class Trained:
    """A trained model.

    Attributes:
        network: as it is evaluated and stored.
        log: float64[epochs, 3], as of `engine.run`, of the recipe's runs one after the other.
        implementation: the name of what trained it.
    """

    network: Network
    log: np.ndarray
    implementation: str


@dataclass(frozen=True)
class Run:
    """One run of a job's recipe, which has started.

    Attributes:
        outcome: its network and log where nothing is left to train: it was finished before the job was
            interrupted, or has no images.
    """

    recipe: Recipe
    checkpoints: engine.Checkpoints
    kept: Kept
    outcome: tuple[Network, np.ndarray] | None = None

    def finish(self, log: np.ndarray) -> tuple[Network, np.ndarray]:
        """The network and the log of the run that has been trained."""
        network = self.recipe.inference()
        if self.kept.long():
            self.checkpoints.lay_by(self.kept)
            self.kept.keep_outcome({"network": network.state_dict(), "log": torch.from_numpy(log)})
        return network, log


def begin(job: Job, number: int = 0) -> Run:
    """Start one of a job's runs. Without images, the network stays as it is, and the log is of zeros."""
    recipe = recipes.make(job.recipe)
    checkpoints, kept = engine.NONE if number else job.checkpoints, job.kept.of_run(number)
    source = frozen(job.source()) if recipe.keeps_source else None
    network = recipe.convert(job.network())
    if outcome := kept.outcome():
        return Run(recipe, checkpoints, kept, _of_outcome(network, outcome, checkpoints, kept))
    require_trainable(recipe, network)
    recipe.start(network, source, job.data, seed_for(job.seed, "run", number) if number else job.seed)
    if len(job.data.positions):
        return Run(recipe, checkpoints, kept)
    checkpoints.reached(0, recipe)
    log = np.zeros((KINDS[job.recipe.kind].epochs(job.recipe), 3))
    return Run(recipe, checkpoints, kept, (recipe.inference(), log))


def require_trainable(recipe: Recipe, network: Network) -> None:
    """Refuse a network that a recipe cannot train; it was tried before the run, unless that was not asked."""
    if reason := recipe.refuses(recipe.settings, network):
        raise ConfigError(f"recipe '{recipe.settings.kind}' cannot train this network: {reason}")


def _of_outcome(
    network: Network, outcome: Mapping[str, Any], checkpoints: engine.Checkpoints, kept: Kept
) -> tuple[Network, np.ndarray]:
    """What an interrupted job had made of a run, and what it had kept along the way."""
    checkpoints.take_up(kept, network)
    network.load_state_dict(outcome["network"])
    return network, outcome["log"].numpy()


def frozen(network: Network) -> Network:
    """A network that is only looked at: evaluation mode, no gradients of its parameters."""
    return network.eval().requires_grad_(False)
