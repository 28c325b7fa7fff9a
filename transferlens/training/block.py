"""The seam between what is to be trained and how: a block of jobs goes in, trained networks come out."""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice

from transferlens.core import job
from transferlens.core.errors import ConfigError
from transferlens.data.shared import SharedImages
from transferlens.training import grouped
from transferlens.training.grouped import GROUPED, Suitability
from transferlens.training.interleaved import INTERLEAVED, interleaved
from transferlens.training.runs import Job, Trained
from transferlens.training.sequential import SEQUENTIAL, sequential


def train_block(jobs: Iterable[Job], models: int = 1) -> Iterator[Trained]:
    """Train models of networks of one architecture, in order.

    A model's result depends on its own job alone. Jobs are asked for, and networks are made, when their turn
    comes, so that memory is bounded.

    Args:
        models: how many may be trained at once, which changes no result; 1 for one after the other, whatever
            the settings say.

    Raises:
        ConfigError: the settings of a job demand what cannot train it.
    """
    if models == 1:
        yield from sequential(jobs)
        return
    choice = _Choice()
    jobs = iter(jobs)
    while block := list(islice(jobs, models)):
        for implementation, alike in groupby(block, choice.of):
            yield from IMPLEMENTATIONS[implementation](list(alike))


AUTO = "auto"
IMPLEMENTATIONS = {SEQUENTIAL: sequential, GROUPED: grouped.grouped, INTERLEAVED: interleaved}


class _Choice:
    """Which implementation trains the jobs of a block, whose networks are of one architecture."""

    def __init__(self) -> None:
        self._of_network: Suitability | None = None
        self._said = ""

    def of(self, one: Job) -> str:
        """By what the job's settings ask for, its images, and its network.

        Raises:
            ConfigError: it cannot be trained as its settings demand.
        """
        wanted = one.recipe.training.implementation
        if wanted == SEQUENTIAL:
            return SEQUENTIAL
        if wanted == AUTO and isinstance(one.data.images, SharedImages):
            self._say("in turn, on images that are decoded once for all of them")
            return INTERLEAVED
        reason = grouped.refuses(one) or self._network(one).refuses
        if reason and wanted == GROUPED:
            raise ConfigError(
                f"training.implementation is 'grouped', which cannot be here: {reason}; set it to 'auto' or "
                "'sequential'"
            )
        reason = reason or (self._network(one).slower if wanted == AUTO else "")
        self._say(f"one by one: {reason}" if reason else "side by side")
        return SEQUENTIAL if reason else GROUPED

    def _network(self, one: Job) -> Suitability:
        if self._of_network is None:
            self._of_network = grouped.suitability(one)
        return self._of_network

    def _say(self, how: str) -> None:
        """Log how models are trained, when that changes."""
        if how != self._said:
            job.log.info("training models %s", how)
            self._said = how
