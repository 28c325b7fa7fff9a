"""One model after the other: the reference for all other ways of training a block."""

from collections.abc import Generator, Iterable, Iterator

import numpy as np

from transferlens.models.network import Network
from transferlens.training import engine, runs
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.runs import Job, Trained

SEQUENTIAL = "sequential"


def sequential(jobs: Iterable[Job], models: int = 1) -> Iterator[Trained]:
    """Train the models of jobs one after the other, however many might be at once.

    A network is made when its turn comes.
    """
    for job in jobs:
        yield alone(job)


def alone(job: Job) -> Trained:
    """A model that is trained by itself."""
    return Trained(*engine.on_own_batches(training(job)), SEQUENTIAL)


# The network and the log of what is trained, once every batch that it waited for was sent.
Training = Generator[engine.Wanted, engine.Views, tuple[Network, np.ndarray]]


def training(job: Job) -> Training:
    """The training of a job, which goes on by a step whenever a batch is sent."""
    networks, logs = [], []
    for number in range(KINDS[job.recipe.kind].runs):
        run = runs.begin(job, number)
        if run.outcome:
            network, log = run.outcome
        else:
            network, log = run.finish((yield from engine.by_steps(run.recipe, run.checkpoints, run.kept)))
        networks.append(network)
        logs.append(log)
    return run.recipe.combine(networks), np.concatenate(logs)
