"""One model after the other: the reference for all other ways of training a block."""

from collections.abc import Generator, Iterable, Iterator

import numpy as np

from transferlens.models.network import Network
from transferlens.training import engine, runs
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.runs import Job, Trained

SEQUENTIAL = "sequential"


def sequential(jobs: Iterable[Job]) -> Iterator[Trained]:
    """Train the models of jobs by the one loop (`engine.run`); a network is made when its turn comes."""
    for job in jobs:
        yield Trained(*engine.on_own_batches(by_steps(job)), SEQUENTIAL)


def by_steps(job: Job) -> Generator[engine.Wanted, engine.Views, tuple[Network, np.ndarray]]:
    """The training of a job, which takes a step for every batch that it is sent.

    Returns:
        Its network, and its log, as of `Trained`.
    """
    networks, logs = [], []
    for number in range(KINDS[job.recipe.kind].runs):
        run = runs.begin(job, number)
        if not (done := run.outcome):
            done = run.finish((yield from engine.by_steps(run.recipe, run.checkpoints, run.kept)))
        networks.append(done[0])
        logs.append(done[1])
    return run.recipe.combine(networks), np.concatenate(logs)
