"""The seam between what is to be trained and how: a block of jobs goes in, trained networks come out."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain

from transferlens.core import job
from transferlens.core.errors import ConfigError
from transferlens.data.shared import SharedImages
from transferlens.training import device as devices
from transferlens.training.graphs import GRAPHS, graphs
from transferlens.training.grouped import GROUPED, gains_nothing, grouped, suitability
from transferlens.training.grouped import refuses as refuses_grouped
from transferlens.training.interleaved import INTERLEAVED, interleaved
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.runs import Job, Trained
from transferlens.training.sequential import SEQUENTIAL, sequential

# How the models of jobs are trained, at most so many at once.
IMPLEMENTATIONS: dict[str, Callable[[Iterable[Job], int], Iterator[Trained]]] = {
    SEQUENTIAL: sequential,
    GROUPED: grouped,
    INTERLEAVED: interleaved,
    GRAPHS: graphs,
}
AUTO = "auto"


def train_block(jobs: Iterable[Job], models: int = 1) -> Iterator[Trained]:
    """Train models, in order: by one recipe, of networks of one architecture, on one set of images.

    A model's result depends on its own job alone. Jobs are asked for, and networks are made, when their turn
    comes, so that memory is bounded.

    Args:
        models: how many may be trained at once, which changes no result of two or more; 1 for one after the
            other, whatever the settings say.

    Raises:
        ConfigError: the settings demand what cannot train these models.
        DeviceError: the GPU failed in the middle.
    """
    jobs = iter(jobs)
    if (first := next(jobs, None)) is None:
        return
    _warn_of_emulation(first)
    name, against = _choice(first, models)
    if name == GROUPED or against:
        job.log.info("training models %s", f"one by one: {against}" if against else "side by side")
    with devices.failures_named():
        yield from IMPLEMENTATIONS[name](chain([first], jobs), models)


def _warn_of_emulation(one: Job) -> None:
    """Say that the arithmetic which settings ask for is slow here; its results are what was asked for."""
    training, device = one.recipe.training, one.data.images.device
    if devices.emulates(devices.precision(training.precision, device), device):
        job.log.warning(
            "training.precision is %s, which %s emulates, many times slower than float32: set it to auto",
            training.precision,
            "this CPU" if device.type == "cpu" else devices.name(device),
        )


def implementation(one: Job, models: int) -> str:
    """The name of what trains jobs like this one, where so many may be trained at once.

    Raises:
        ConfigError: it cannot be trained as its settings demand.
    """
    return _choice(one, models)[0]


def come_together(one: Job, models: int) -> int:
    """How many models like this one end at about the same time, where so many may be trained at once."""
    return models if implementation(one, models) in (GROUPED, INTERLEAVED) else 1


def _choice(one: Job, models: int) -> tuple[str, str]:
    """The implementation, and what stands against models side by side, in words."""
    wanted = one.recipe.training.implementation
    if isinstance(one.data.images, SharedImages):
        return INTERLEAVED, ""
    if models == 1 or wanted in (SEQUENTIAL, GRAPHS):
        return SEQUENTIAL if models == 1 else wanted, ""
    reason, slower = refuses_grouped(one), ""
    if not reason and wanted == AUTO:
        slower = gains_nothing(one)
    if not reason and not slower:
        reason, slower = suitability(one)
    if reason and wanted == GROUPED and not KINDS[one.recipe.kind].asked_for_by:
        raise ConfigError(
            f"training.implementation is 'grouped', which cannot be here: {reason}; set it to 'auto' or "
            "'sequential'"
        )
    against = reason or (slower if wanted == AUTO else "")
    return SEQUENTIAL if against else GROUPED, against
