"""Training steps and evaluation that go on with less memory when the device runs out of it.

What is computed stays the same. Where images of a batch see each other, in batch statistics, the batch stays
whole: blocks of the network keep only their inputs, and are computed again in the backward pass. Everywhere
else the batch is cut into micro-batches whose gradients add up to the batch's, and blocks are computed again
where it cannot be cut further.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from transferlens.core import job
from transferlens.core.errors import ConfigError
from transferlens.models.layers import batch_norms
from transferlens.models.network import Network
from transferlens.training import device as devices
from transferlens.training.draws import Draws, generators, set_generators

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
_AT_ONCE = 256  # images that are evaluated, where memory allows


class Step:
    """Forward and backward pass of one batch after the other.

    Once the device has run out of memory, this and the following batches take less.

    Args:
        loss: mean loss of logits [N, C] and labels [N], with images weighted or not.
        mass: what the images of labels [N] weigh together in that mean.
        scaler: multiplies the loss where gradients of half precision would vanish.
        autocast: makes the context of the network's forward pass.
        zero_grad: forgets the gradients of all that the loss reaches.
        divisible: whether a batch may be cut: its images are labelled one by one.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Loss,
        mass: Callable[[torch.Tensor], torch.Tensor | int],
        scaler: torch.amp.GradScaler,
        autocast: Callable[[], AbstractContextManager],
        zero_grad: Callable[[], None],
        divisible: bool = True,
    ):
        self.network, self.loss, self.mass = network, loss, mass
        self.scaler, self.autocast, self.divisible = scaler, autocast, divisible
        self.zero_grad = zero_grad
        self.parts, self.recompute = 1, False
        self._draws: Draws | None = None
        norms = [norm for norm in batch_norms(network) if norm.training]
        self._running = [buffer for norm in norms for buffer in norm.buffers()]

    def __call__(self, batch: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Put the gradients of the mean loss into the network; returns the loss and float32 logits [N, C].

        Raises:
            torch.OutOfMemoryError: the batch does not fit however little memory is used.
        """
        before = self._state(batch.device)
        while True:
            self.zero_grad()
            try:
                return self._pass(batch, labels)
            except torch.OutOfMemoryError as error:
                if not self._can_use_less(batch):
                    raise
                reason = str(error).splitlines()[0]
            # Here the error is gone, and with it the tensors that its frames held.
            self._use_less(batch, reason)
            self._restore(batch.device, *before)

    def _pass(self, batch: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        if self.parts == 1:
            return self.backward(batch, labels)
        whole, size, done = self.mass(labels), -(-len(batch) // self.parts), []
        for start in range(0, len(batch), size):
            part, part_labels = batch[start : start + size], labels[start : start + size]
            with self._draws.share(batch, start, len(part)):
                done.append(self.backward(part, part_labels, self.mass(part_labels) / whole))
        losses, logits = zip(*done, strict=True)
        return sum(losses), torch.cat(logits)

    def backward(
        self, batch: torch.Tensor, labels: torch.Tensor, share: torch.Tensor | float | None = None
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Add the gradients of the loss, times a share; returns as a call does, and uses no less memory."""
        with self.autocast(), recomputing(self.network) if self.recompute else nullcontext():
            logits = self.network(batch).float()
        loss = self.loss(logits, labels)
        if share is not None:
            loss = loss * share
        self.scaler.scale(loss).backward()
        return loss.detach(), logits.detach()

    def _can_be_cut(self, batch: torch.Tensor) -> bool:
        return not self._running and self.divisible and self.parts < len(batch)

    def _can_use_less(self, batch: torch.Tensor) -> bool:
        return self._can_be_cut(batch) or (not self.recompute and bool(stages_of(self.network)))

    def _use_less(self, batch: torch.Tensor, reason: str) -> None:
        if self._can_be_cut(batch):
            self.parts *= 2
            self._draws = self._draws or Draws(self.network, batch, self.autocast)
            cure = f"batches are cut into {self.parts} micro-batches"
        else:
            self.recompute, cure = True, "activations are computed again in the backward pass"
        same = self._draws is None or self._draws.as_whole
        job.log.warning(
            "out of memory with %s (%s): from here on %s; %s",
            _described(batch),
            reason,
            cure,
            "results are the same" if same else "results are those of other random draws",
        )
        if batch.device.type == "cuda":
            torch.cuda.empty_cache()

    def _state(self, device: torch.device) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
        """What a forward pass changes: running statistics, and the states of the generators."""
        return [buffer.clone() for buffer in self._running], generators(device)

    def _restore(self, device: torch.device, running: list[torch.Tensor], states: list[torch.Tensor]) -> None:
        with torch.no_grad():
            for buffer, value in zip(self._running, running, strict=True):
                buffer.copy_(value)
        set_generators(device, states)


@contextmanager
def recomputing(network: nn.Module) -> Iterator[None]:
    """A forward pass inside keeps only the inputs of the network's blocks for the backward pass."""
    stages = stages_of(network)
    for stage in stages:
        stage.forward = partial(_recomputed, stage, stage.forward)
    try:
        yield
    finally:
        for stage in stages:
            del stage.forward


def _recomputed(stage: nn.Module, forward: Callable[..., Any], *inputs: Any, **options: Any) -> Any:
    """What a stage gives; in the backward pass it is computed again, from its inputs as they came."""

    def on_copies(*inputs: Any) -> Any:  # as a stage may begin with an activation in place
        return forward(*(x.clone() if torch.is_tensor(x) else x for x in inputs), **options)

    def contexts() -> tuple[AbstractContextManager, AbstractContextManager]:
        return nullcontext(), statistics_kept(stage)

    return checkpoint(on_copies, *inputs, use_reentrant=False, context_fn=contexts)


def stages_of(network: nn.Module) -> list[nn.Module]:
    """The blocks of the network's backbone; none where nothing is known of it."""
    known = next((module for module in network.modules() if isinstance(module, Network)), None)
    return [known.backbone.get_submodule(path) for path in known.parts.blocks] if known else []


@contextmanager
def statistics_kept(stage: nn.Module) -> Iterator[None]:
    """Batch norms inside normalise as ever, and leave their running statistics as they are."""
    norms = batch_norms(stage)
    momenta, counters = [m.momentum for m in norms], [m.num_batches_tracked for m in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, counter in zip(norms, momenta, counters, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter


def in_parts(
    function: Callable[[torch.Tensor], torch.Tensor], batch: torch.Tensor, size: int
) -> tuple[torch.Tensor, int]:
    """`function` of a batch whose images do not see each other, and the largest size that fits.

    Args:
        size: images at a time; halved until they fit.

    Raises:
        torch.OutOfMemoryError: a single image does not fit.
    """
    while True:
        try:
            return torch.cat([function(part) for part in batch.split(size)]), size
        except torch.OutOfMemoryError:
            if size == 1:
                raise
        size = -(-min(size, len(batch)) // 2)
        job.log.warning("out of memory with %s: evaluated %d at a time", _described(batch), size)
        if batch.device.type == "cuda":
            torch.cuda.empty_cache()


def evaluated(function: Callable[[np.ndarray], torch.Tensor], count: int) -> np.ndarray:
    """`function` of the numbers below `count`, a batch at a time; less of them where memory runs out.

    Args:
        function: takes numbers int64[n], gives [n, ...].

    Returns:
        float32[count, ...].
    """
    parts, size = [], _AT_ONCE
    for numbers in torch.arange(count).split(_AT_ONCE):
        values, size = in_parts(lambda part: function(part.numpy()), numbers, size)
        parts.append(values.float().cpu().numpy())
    return np.concatenate(parts)


@contextmanager
def named(device: torch.device, batch_size: int, resolution: int) -> Iterator[None]:
    """Turn running out of memory, where nothing helped, and a GPU that fails, into one line.

    Raises:
        DeviceError: the GPU failed.
        ConfigError: naming the device, the batch, its resolution and the cure.
    """
    try:
        with devices.failures_named(), devices.allocations():
            yield
    except torch.OutOfMemoryError as error:
        raise ConfigError(
            f"{devices.name(device)}: out of memory at batch_size {batch_size} and {resolution} px, although "
            f"the least was used ({str(error).splitlines()[0]}); lower batch_size or the resolution, let "
            "fewer jobs share the GPU, or use one with more memory"
        ) from error


def _described(batch: torch.Tensor) -> str:
    side = f" of {batch.shape[-1]} px" if batch.ndim == 4 else ""
    return f"{len(batch)} images{side}"
