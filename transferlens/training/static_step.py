"""A whole optimiser step on buffers that stay where they are, so that a GPU can record it and do it again.

A recorded step costs one launch, where each of its hundred or more kernels would cost one. It reads images,
labels and learning rates from where they lay when it was recorded, and changes parameters, running
statistics, what the optimiser remembers, and the standing of the run in place.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import nn

from transferlens.data.pipeline import Batch
from transferlens.training import engine
from transferlens.training.draws import generators, set_generators
from transferlens.training.engine import Standing
from transferlens.training.optimisation import Optimiser
from transferlens.training.recipes.base import Phase, Recipe

# A step is done so often before it is recorded: the first ones make what is remembered (momenta), pick
# algorithms and ask for workspaces, which cannot be recorded.
_WARM_UP = 3


class StaticStep:
    """The steps of a run on static buffers, computed as they are asked for: the CPU's, and a GPU's reference.

    Args:
        recipe: started, and of a kind that is trained in blocks.
        optimiser: whose learning rates are tensors (`recorded`).
        batch: the first: all batches are of its shape and lie in memory as it does.
    """

    def __init__(self, recipe: Recipe, phase: Phase, optimiser: Optimiser, batch: Batch):
        self.network, self.optimiser = phase.network, optimiser
        self.images, self.labels = (part.clone() for part in batch)
        self._passes = engine.passes(recipe, phase, optimiser)

    def warm_up(self) -> bool:
        """Take steps of no consequence; returns whether the network draws at random.

        Must be called before the first step of the run, and before what was kept of it is put back.
        """
        device = self.images.device
        before = generators(device)
        with _unchanged(self.network):
            for _ in range(_WARM_UP):
                self._step()
        self.optimiser.forget()
        draws = not all(map(torch.equal, generators(device), before))
        set_generators(device, before)
        return draws

    def begin(self, standing: Standing) -> None:
        """Make steps part of a run that stands here."""
        self._standing = standing

    def load(self, batch: Batch) -> None:
        """Put a batch where the next step reads it."""
        images, labels = batch
        self.images.copy_(images)
        self.labels.copy_(labels)

    def take(self) -> None:
        """A step of the run, on the batch that is loaded, at the optimiser's learning rates."""
        self._standing.note(*self._step(), self.labels)

    def _step(self) -> tuple[torch.Tensor, torch.Tensor]:
        """Change the parameters; returns the loss and the logits [N, C]."""
        self._passes.zero_grad()
        loss, logits = self._passes.backward(self.images, self.labels)
        self.optimiser.unscale()
        self.optimiser.step()
        return loss, logits


class RecordedStep(StaticStep):
    """The same, recorded in the current stream of a GPU as a CUDA graph, and done again for every batch.

    It owns memory of its own for all that is computed on the way, gradients included.
    """

    def begin(self, standing: Standing) -> None:
        """Record a step of a run that stands here; nothing is computed.

        Raises:
            torch.OutOfMemoryError: there is no room for what a step makes on the way.
        """
        super().begin(standing)
        self._passes.zero_grad()  # so that gradients are made anew, in the graph's memory
        self._graph = torch.cuda.CUDAGraph()
        with _out_of_memory_told(), torch.cuda.graph(self._graph, stream=torch.cuda.current_stream()):
            super().take()

    def take(self) -> None:
        """As of `StaticStep`."""
        self._graph.replay()


@contextmanager
def _unchanged(network: nn.Module) -> Iterator[None]:
    """Parameters and buffers are after what is done inside, as they were, in place."""
    tensors = [*network.parameters(), *network.buffers()]
    before = [tensor.detach().clone() for tensor in tensors]
    yield
    with torch.no_grad():
        for tensor, value in zip(tensors, before, strict=True):
            tensor.copy_(value)


@contextmanager
def _out_of_memory_told() -> Iterator[None]:
    """Memory that runs out while a step is recorded also spoils the recording: tell of the former."""
    try:
        yield
    except RuntimeError as error:
        cause: BaseException | None = error
        while cause and not isinstance(cause, torch.OutOfMemoryError):
            cause = cause.__context__
        raise cause or error from None
