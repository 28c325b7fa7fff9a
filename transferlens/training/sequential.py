"""One model after the other: the reference for all other ways of training a block."""

from collections.abc import Iterable, Iterator

import numpy as np

from transferlens.training import engine, runs
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.runs import Job, Run, Trained

SEQUENTIAL = "sequential"


def sequential(jobs: Iterable[Job]) -> Iterator[Trained]:
    """Train the models of jobs by the one loop (`engine.run`); a network is made when its turn comes."""
    for job in jobs:
        kind = KINDS[job.recipe.kind]
        started = (runs.begin(job, number) for number in range(kind.runs))
        recipes, done = zip(*((run.recipe, run.outcome or _trained(run)) for run in started), strict=True)
        networks, logs = zip(*done, strict=True)
        yield Trained(recipes[-1].combine(list(networks)), np.concatenate(logs), SEQUENTIAL)


def _trained(run: Run) -> tuple:
    """The network and the log of a run."""
    return run.finish(engine.run(run.recipe, run.checkpoints, run.kept))
