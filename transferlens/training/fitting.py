"""Training steps and evaluation that go on with less memory when the device runs out of it.

What is computed stays the same. Where images of a batch see each other, in batch statistics, the batch stays
whole: stages of the network keep only their inputs, and are computed again in the backward pass. Everywhere
else the batch is cut into micro-batches whose gradients add up to the batch's.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import nn
from torch.nn import functional
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint

from transferlens.core import job
from transferlens.core.errors import ConfigError
from transferlens.models.network import Network
from transferlens.training import device as devices

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


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
        modules = list(network.modules())
        norms = [m for m in modules if isinstance(m, _BatchNorm) and m.training]
        self._running = [buffer for norm in norms for buffer in norm.buffers()]
        self._dropouts = [m for m in modules if isinstance(m, nn.Dropout) and m.training]

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
            self._restore(*before)

    def _pass(self, batch: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        whole, loss, logits = self.mass(labels), 0.0, []
        size = -(-len(batch) // self.parts)
        with _dropout_of(self._dropouts, len(batch)) if self.parts > 1 else nullcontext():
            for part, part_labels in zip(batch.split(size), labels.split(size), strict=True):
                with self.autocast(), recomputing(self.network) if self.recompute else nullcontext():
                    part_logits = self.network(part).float()
                part_loss = self.loss(part_logits, part_labels)
                if self.parts > 1:
                    part_loss = part_loss * (self.mass(part_labels) / whole)
                self.scaler.scale(part_loss).backward()
                loss = loss + part_loss.detach()
                logits.append(part_logits.detach())
        return loss, torch.cat(logits) if self.parts > 1 else logits[0]

    def _can_use_less(self, batch: torch.Tensor) -> bool:
        if self._running:
            return not self.recompute
        return self.divisible and self.parts < len(batch)

    def _use_less(self, batch: torch.Tensor, reason: str) -> None:
        if self._running:
            self.recompute, cure = True, "activations are computed again in the backward pass"
        else:
            self.parts *= 2
            cure = f"batches are cut into {self.parts} micro-batches"
        job.log.warning(
            "out of memory with %s (%s): from here on %s; results are the same",
            _described(batch),
            reason,
            cure,
        )
        if batch.device.type == "cuda":
            torch.cuda.empty_cache()

    def _state(
        self, device: torch.device
    ) -> tuple[list[torch.Tensor], torch.Tensor | None, torch.Tensor | None]:
        """What a forward pass changes: running statistics, and the state of the generators."""
        running = [buffer.clone() for buffer in self._running]
        if not self._dropouts:
            return running, None, None
        on_gpu = torch.cuda.get_rng_state(device) if device.type == "cuda" else None
        return running, torch.get_rng_state(), on_gpu

    def _restore(
        self, running: list[torch.Tensor], generator: torch.Tensor | None, on_gpu: torch.Tensor | None
    ) -> None:
        with torch.no_grad():
            for buffer, value in zip(self._running, running, strict=True):
                buffer.copy_(value)
        if generator is not None:
            torch.set_rng_state(generator)
        if on_gpu is not None:
            torch.cuda.set_rng_state(on_gpu)


@contextmanager
def recomputing(network: nn.Module) -> Iterator[None]:
    """A forward pass inside keeps only the inputs of the network's stages for the backward pass."""
    stages = list(stages_of(network))
    for stage in stages:
        stage.forward = functools.partial(
            checkpoint,
            stage.forward,
            use_reentrant=False,
            context_fn=lambda stage=stage: (nullcontext(), _statistics_kept(stage)),
        )
    try:
        yield
    finally:
        for stage in stages:
            del stage.forward


def stages_of(network: nn.Module) -> Iterator[nn.Module]:
    """The blocks of the backbone (residual blocks, say) that hold more than a batch norm."""
    backbone = next(module.backbone for module in network.modules() if isinstance(module, Network))
    yield from _blocks(backbone)


def _blocks(module: nn.Module) -> Iterator[nn.Module]:
    for child in module.children():
        if isinstance(child, nn.Sequential) and any(list(part.children()) for part in child):
            yield from _blocks(child)  # a row of blocks
        elif not isinstance(child, _BatchNorm) and any(isinstance(m, _BatchNorm) for m in child.modules()):
            yield child


@contextmanager
def _statistics_kept(stage: nn.Module) -> Iterator[None]:
    """Batch norms inside normalise as ever, and leave their running statistics as they are."""
    norms = [m for m in stage.modules() if isinstance(m, _BatchNorm)]
    momenta, counters = [m.momentum for m in norms], [m.num_batches_tracked for m in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:
        for norm, momentum, counter in zip(norms, momenta, counters, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, counter


@contextmanager
def _dropout_of(dropouts: list[nn.Dropout], images: int) -> Iterator[None]:
    """Micro-batches that pass the dropouts in turn get their shares of the whole batch's draws."""
    for dropout in dropouts:
        dropout.forward = _Draws(dropout.p, images)
    try:
        yield
    finally:
        for dropout in dropouts:
            del dropout.forward


class _Draws:
    """Dropout by factors drawn at once for all images of a batch."""

    def __init__(self, p: float, images: int):
        self.p, self.images, self.passed, self.factors = p, images, 0, None

    def __call__(self, features: torch.Tensor) -> torch.Tensor:
        if self.factors is None:
            ones = torch.ones_like(features[:1]).expand(self.images, *features.shape[1:]).contiguous()
            self.factors = functional.dropout(ones, self.p)
        part = self.factors[self.passed : self.passed + len(features)]
        self.passed += len(features)
        return features * part


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


@contextmanager
def named(device: torch.device, batch_size: int, resolution: int) -> Iterator[None]:
    """Turn running out of memory, where nothing helped, into one line.

    Raises:
        ConfigError: naming the device, the batch, its resolution and the cure.
    """
    try:
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
