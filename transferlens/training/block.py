"""The seam between what is to be trained and how: a block of jobs goes in, trained networks come out."""

from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import torch

from transferlens.core.errors import ConfigError
from transferlens.core.seeding import seed_for
from transferlens.models.network import Network
from transferlens.training import engine, interleaved, recipes
from transferlens.training.recipes.base import Data, Recipe
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.recipes.settings.base import RecipeSettings
from transferlens.training.resumption import NOTHING, Kept

SEQUENTIAL, INTERLEAVED = "sequential", "interleaved"
AT_ONCE = 8  # models whose networks are on the device together


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


def train_block(
    jobs: Iterable[Job], implementation: str = SEQUENTIAL, models: int = AT_ONCE
) -> Iterator[Trained]:
    """Train the models of a block, in order.

    A model's result depends on its own job alone. They come one at a time, so that memory is bounded: jobs
    are asked for, and networks are made, when their turn comes.

    Args:
        models: at once, where the implementation trains several; that decides no result.
    """
    return IMPLEMENTATIONS[implementation](jobs, models)


def sequential(jobs: Iterable[Job], models: int = 1) -> Iterator[Trained]:
    """One model after the other, however many: the reference for all other implementations."""
    for job in jobs:
        yield Trained(*engine.on_own_batches(training(job)), SEQUENTIAL)


def interleaved_block(jobs: Iterable[Job], models: int = AT_ONCE) -> Iterator[Trained]:
    """Several models in turn, on images that are decoded once for all of them (`data.shared`)."""
    waiting = iter(jobs)
    while some := list(islice(waiting, models)):
        trained = interleaved.in_turn([training(job) for job in some], some[0].data.images.device)
        while trained:
            yield Trained(*trained.pop(0), INTERLEAVED)


IMPLEMENTATIONS = {SEQUENTIAL: sequential, INTERLEAVED: interleaved_block}


# The network and the log of what is trained, once every batch that it waited for was sent.
Training = Generator[engine.Wanted, engine.Views, tuple[Network, np.ndarray]]


def training(job: Job) -> Training:
    """The training of a job, which goes on by a step whenever a batch is sent."""
    networks, logs = [], []
    for number in range(KINDS[job.recipe.kind].runs):
        recipe = recipes.make(job.recipe)
        seed = seed_for(job.seed, "run", number) if number else job.seed
        checkpoints = engine.NONE if number else job.checkpoints
        network, log = yield from _run(recipe, job, seed, checkpoints, job.kept.of_run(number))
        networks.append(network)
        logs.append(log)
    return recipe.combine(networks), np.concatenate(logs)


def _run(recipe: Recipe, job: Job, seed: int, checkpoints: engine.Checkpoints, kept: Kept) -> Training:
    """The network and the log of one run. Without images, that stays as it is, and the log is of zeros."""
    source = frozen(job.source()) if recipe.keeps_source else None
    network = recipe.convert(job.network())
    if outcome := kept.outcome():
        return _of_outcome(network, outcome, checkpoints, kept)
    require_trainable(recipe, network)
    recipe.start(network, source, job.data, seed)
    if not len(job.data.positions):
        checkpoints.reached(0, recipe)
        return recipe.inference(), np.zeros((KINDS[job.recipe.kind].epochs(job.recipe), 3))
    log = yield from engine.by_steps(recipe, checkpoints, kept)
    network = recipe.inference()
    _keep_outcome(network, log, checkpoints, kept)
    return network, log


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


def _keep_outcome(network: Network, log: np.ndarray, checkpoints: engine.Checkpoints, kept: Kept) -> None:
    """Keep what became of a run, should the job be interrupted later."""
    if kept.long():
        checkpoints.lay_by(kept)
        kept.keep_outcome({"network": network.state_dict(), "log": torch.from_numpy(log)})


def frozen(network: Network) -> Network:
    """A network that is only looked at: evaluation mode, no gradients of its parameters."""
    return network.eval().requires_grad_(False)
