"""The seam between what is to be trained and how: a block of jobs goes in, trained networks come out."""

from collections.abc import Callable, Iterable, Iterator

from transferlens.training import device as devices
from transferlens.training.graphs import GRAPHS, graphs
from transferlens.training.jobs import SEQUENTIAL, Job, Trained, require_trainable, sequential

__all__ = ["IMPLEMENTATIONS", "Job", "Trained", "require_trainable", "train_block"]

IMPLEMENTATIONS: dict[str, Callable[[Iterable[Job], int], Iterator[Trained]]] = {
    SEQUENTIAL: sequential,
    GRAPHS: graphs,
}


def train_block(jobs: Iterable[Job], implementation: str = SEQUENTIAL, models: int = 8) -> Iterator[Trained]:
    """Train the models of a block, in order.

    A model's result depends on its own job alone. Memory is bounded: jobs are asked for, and networks are
    made, when their turn comes.

    Args:
        models: at once, where an implementation trains several.

    Raises:
        DeviceError: the GPU failed in the middle.
    """
    with devices.failures_named():
        yield from IMPLEMENTATIONS[implementation](jobs, models)
