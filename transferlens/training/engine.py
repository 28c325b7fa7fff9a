"""The one training loop: SGD on the images of some classes, for source models and full fine-tuning alike."""

from collections.abc import Callable, Iterable, Iterator
from itertools import count, islice
from typing import Protocol

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from transferlens.core.config import TrainingSettings
from transferlens.data.pipeline import Images
from transferlens.training import device as devices
from transferlens.training import fitting, schedule


class Beside(Protocol):
    """What a network learns beside its images, in the same batches."""

    def images(self, batch: torch.Tensor) -> torch.Tensor:
        """Images [M, 3, H, W] that join the batch [N, 3, H, W]; called once a step."""

    def loss(
        self, logits: torch.Tensor, beside: torch.Tensor, labels: torch.Tensor, own: fitting.Loss
    ) -> torch.Tensor:
        """What is added to the batch's loss `own`, by its logits [N, C], its labels, and those beside it."""


def train(
    network: nn.Module,
    parameters: Iterable[nn.Parameter],
    images: Images,
    positions: np.ndarray,
    training: TrainingSettings,
    seed: int,
    steps: int | None = None,
    beside: Beside | None = None,
) -> np.ndarray:
    """Minimise the cross-entropy of `network` on the images at `positions`, in place.

    Batch order and augmentation depend on `seed` alone. The caller puts the network's modules into
    training or evaluation mode.

    Args:
        steps: optimiser steps an epoch; by default those that one pass over the images makes. More make
            further passes, which the next epoch goes on with.
        beside: more images and more loss. Batches are then not cut when memory runs out.

    Returns:
        float64[epochs, 3]: mean loss, accuracy and last learning rate of every epoch.
    """
    device = images.device
    dtype = devices.precision(training.precision, device)
    scaler = torch.amp.GradScaler(device.type, enabled=dtype == torch.float16)
    optimiser = torch.optim.SGD(
        parameters,
        lr=0.0,
        momentum=training.momentum,
        weight_decay=training.weight_decay,
        fused=True,
    )
    steps = steps or steps_per_epoch(len(positions), training)
    weights = None
    if training.class_weighted:
        weights = class_weights(images.labels[torch.from_numpy(positions).to(device)])

    def own(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return _loss(logits, labels, training.label_smoothing, weights)

    def both(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        first, rest = logits[: len(labels)], logits[len(labels) :]
        return own(first, labels) + beside.loss(first, rest, labels, own)

    step = fitting.Step(
        network,
        both if beside else own,
        lambda labels: len(labels) if weights is None else weights[labels].sum(),
        scaler,
        lambda: devices.autocast(dtype, device),
        divisible=beside is None,
    )
    batches = endless_batches(images, positions, training, seed, steps)
    log = np.zeros((training.epochs, 3))
    for epoch in range(training.epochs):
        loss_sum = correct = torch.zeros((), device=device)
        for i, (batch, labels) in enumerate(islice(batches, steps)):
            lr = schedule.learning_rate(training, epoch * steps + i, steps)
            optimiser.param_groups[0]["lr"] = lr
            if beside:
                batch = torch.cat([batch, beside.images(batch)])
            loss, logits = step(batch, labels)
            scaler.step(optimiser)
            scaler.update()
            loss_sum = loss_sum + loss
            correct = correct + (logits[: len(labels)].argmax(1) == labels).float().mean()
        log[epoch] = float(loss_sum) / steps, float(correct) / steps, lr
    return log


def class_weights(labels: torch.Tensor) -> torch.Tensor:
    """The weight of an image by its label, float32[largest label + 1]: every class weighs alike, mean 1."""
    counts = torch.bincount(labels)
    return len(labels) / ((counts > 0).sum() * counts.clamp(min=1))


def _loss(logits: torch.Tensor, labels: torch.Tensor, smoothing: float, weights: torch.Tensor | None):
    """Mean cross-entropy of a batch, of images weighted by their class if `weights` are given."""
    losses = functional.cross_entropy(logits, labels, label_smoothing=smoothing, reduction="none")
    if weights is None:
        return losses.mean()
    return (weights[labels] * losses).sum() / weights[labels].sum()


def steps_per_epoch(images: int, training: TrainingSettings) -> int:
    """Complete batches of one pass (one smaller batch if there is no other)."""
    return images // min(training.batch_size, images)


def endless_batches(
    images: Images, positions: np.ndarray, training: TrainingSettings, seed: int, steps: int
) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
    """Passes over the images one after the other, at the resolution of the epoch each begins in."""
    batch_size, done = min(training.batch_size, len(positions)), 0
    for number in count():
        side = schedule.resolution(training.resize, done // steps, images.settings.resolution)
        for batch in images.training_batches(positions, training, batch_size, number, seed, side):
            yield batch
            done += 1


@torch.inference_mode()
def evaluate(
    function: Callable[[torch.Tensor], torch.Tensor], images: Images, batch_size: int = 256
) -> torch.Tensor:
    """`function` of every image in order, in float32: [images, ...] on the device."""
    found, size = [], batch_size
    for batch in images.evaluation_batches(batch_size):
        values, size = fitting.in_parts(function, batch, size)
        found.append(values.float())
    return torch.cat(found)
