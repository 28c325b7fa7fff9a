"""The one training loop: SGD on the images of some classes, for source models and full fine-tuning alike."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from transferlens.config import TrainingSettings
from transferlens.data.pipeline import Images
from transferlens.training import device as devices
from transferlens.training import schedule


def train(
    network: nn.Module,
    parameters: Iterable[nn.Parameter],
    images: Images,
    positions: np.ndarray,
    training: TrainingSettings,
    seed: int,
) -> np.ndarray:
    """Minimise the cross-entropy of `network` on the images at `positions`, in place.

    Batch order and augmentation depend on `seed` alone. The caller puts the network's modules into
    training or evaluation mode.

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
    batch_size = min(training.batch_size, len(positions))
    steps_per_epoch = len(positions) // batch_size
    log = np.zeros((training.epochs, 3))
    for epoch in range(training.epochs):
        side = schedule.resolution(training.resize, epoch, images.settings.resolution)
        batches = images.training_batches(positions, training, batch_size, epoch, seed, side)
        loss_sum = correct = torch.zeros((), device=device)
        for i, (batch, labels) in enumerate(batches):
            lr = schedule.learning_rate(training, epoch * steps_per_epoch + i, steps_per_epoch)
            optimiser.param_groups[0]["lr"] = lr
            with devices.autocast(dtype, device):
                logits = network(batch)
            loss = functional.cross_entropy(logits.float(), labels, label_smoothing=training.label_smoothing)
            optimiser.zero_grad()
            scaler.scale(loss).backward()
            scaler.step(optimiser)
            scaler.update()
            loss_sum = loss_sum + loss.detach()
            correct = correct + (logits.detach().argmax(1) == labels).float().mean()
        log[epoch] = float(loss_sum) / steps_per_epoch, float(correct) / steps_per_epoch, lr
    return log


@torch.inference_mode()
def evaluate(
    function: Callable[[torch.Tensor], torch.Tensor], images: Images, batch_size: int = 256
) -> torch.Tensor:
    """`function` of every image in order, in float32: [images, ...] on the device."""
    return torch.cat([function(batch).float() for batch in images.evaluation_batches(batch_size)])
