"""Small networks trained side by side as one, whose channels are in groups (`models.grouping`): for CPUs.

A step of many small networks costs more in calls than in arithmetic; side by side they share the calls. Each
has batches, a learning rate and an end of its own, and none sees another: its bits depend neither on its
neighbours nor on its slot, nor on how many there are (two at least: one alone takes other code, so that it
gets an empty slot beside it).
"""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, islice

import torch
from torch import nn

from transferlens.core import job
from transferlens.data.pipeline import ResidentImages
from transferlens.models import grouping
from transferlens.training import device as devices
from transferlens.training import recipes, runs
from transferlens.training.engine import Checkpoints
from transferlens.training.recipes.kinds import KINDS
from transferlens.training.runs import Job, Trained
from transferlens.training.side_by_side import Model, SideBySide

GROUPED = "grouped"
_NARROW = 32  # channels of the widest layer up to which it was faster (docs/speed.md)


def refuses(one: Job) -> str:
    """Why a job cannot be trained so, as far as its settings and images tell, in words; '' if it can."""
    training, images = one.recipe.training, one.data.images
    if not KINDS[one.recipe.kind].in_blocks:
        return f"recipe '{one.recipe.kind}' trains its models one by one"
    if images.device.type != "cpu":
        return "it is for CPUs"
    if torch.get_num_threads() > 1:
        return "with several threads the bits of a model would depend on how many are beside it"
    if not isinstance(images, ResidentImages):
        return "images are read anew in every pass (input.loading)"
    if type(one.checkpoints) is not Checkpoints:
        return "it is looked at after every epoch"
    if training.optimizer != "sgd":
        return f"optimizer is {training.optimizer}"
    if training.resize is not None:
        return "models at unequal epochs have images of unequal sides (resize)"
    if devices.precision(training.precision, images.device) == torch.float16:
        return "precision is float16"
    return ""


def gains_nothing(one: Job) -> str:
    """Why a job had better not be trained so, as far as its arithmetic tells, in words; '' if it had."""
    precision = devices.precision(one.recipe.training.precision, one.data.images.device)
    # Measured: convolutions bind the step, and take longer in groups (docs/speed.md).
    return "in float32 nothing is gained side by side" if precision == torch.float32 else ""


def suitability(one: Job) -> tuple[str, str]:
    """Why the network of a job cannot be trained so, and why it had better not be, in words; '' if it can."""
    network = recipes.make(one.recipe).convert(one.network()).train()
    widest = max((m.out_channels for m in network.modules() if isinstance(m, nn.Conv2d)), default=0)
    return (
        grouping.ungroupable(network, one.data.images.settings.resolution),
        f"networks of up to {widest} channels gain nothing side by side" if widest > _NARROW else "",
    )


def grouped(jobs: Iterable[Job], models: int) -> Iterator[Trained]:
    """Train the models of jobs, so many at a time side by side.

    Raises:
        NumericalError: a loss that is not finite.
        torch.OutOfMemoryError: a single model does not fit.
    """
    jobs = iter(jobs)
    while some := list(islice(jobs, models)):
        yield from _block(some)


def _block(jobs: Sequence[Job]) -> list[Trained]:
    started = [runs.begin(one) for one in jobs]
    models = {i: Model(run) for i, run in enumerate(started) if not run.outcome}
    for _, alike in groupby(sorted(models.values(), key=_batch_size), _batch_size):
        _train(list(alike))
    return [
        Trained(*(run.outcome or run.finish(models[i].standing.log)), GROUPED)
        for i, run in enumerate(started)
    ]


def _batch_size(model: Model) -> int:
    return min(model.phase.training.batch_size, len(model.phase.positions))


def _train(models: Sequence[Model]) -> None:
    """Train models to their ends; where memory runs out, half of those that are left after the other half.

    Raises:
        torch.OutOfMemoryError: a single model does not fit.
    """
    left = [model for model in models if not model.over]
    while left:
        try:
            SideBySide(left).train()
            reason = ""
        except torch.OutOfMemoryError as error:
            if len(left) == 1:
                raise
            reason = str(error).splitlines()[0]
        left = [model for model in left if not model.over]
        if reason:  # here the error is gone, and with it the tensors that its frames held
            job.log.warning(
                "out of memory with %d models side by side (%s): "
                "half as many from here on; results are the same",
                len(left),
                reason,
            )
            half = -(-len(left) // 2)
            _train(left[:half])
            _train(left[half:])
            return
