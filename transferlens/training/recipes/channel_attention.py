"""Channel attention of DELTA (Li et al. 2019): what the source would lose on the target without a channel.

A classifier of the target is fitted to the frozen source's features. A channel's attention is
softmax(z / 5), z the loss with that channel set to 0, standardised over the layer's channels (that the loss
of the whole network is taken away from all of them changes nothing).

Cost for the C channels of a layer and n images: C n passes through what follows the layer, and C n / 16
through what comes before it, as 16 channels share a pass.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from transferlens.core.seeding import rng_for
from transferlens.core.settings import TrainingSettings
from transferlens.models import grids, layers
from transferlens.models.network import Network
from transferlens.training import engine, fitting
from transferlens.training.recipes.base import Data
from transferlens.training.recipes.fixed import Fixed
from transferlens.training.recipes.settings.anchored import DeltaSettings
from transferlens.training.recipes.settings.plain import FixedSettings

_BATCH = 32  # images, as published
_AT_ONCE = 16  # channels
_SOFTNESS = 5.0


def learned_attention(
    source: Network, head: nn.Linear, data: Data, settings: DeltaSettings, watched: Sequence[str], seed: int
) -> dict[str, torch.Tensor]:
    """The attention float32[C] to the channels of each watched layer, of sum 1.

    Args:
        source: in evaluation mode.
        head: where the classifier starts from; it stays as it is.
    """
    network = fitted(source, head, data, settings.training, seed)
    order = rng_for(seed, "attention").permutation(data.positions)
    images, labels = _batches(data, order[: settings.attention_images])
    losses = {layer: losses_without(network, layer, images, labels) for layer in watched}
    return {layer: attention(of) for layer, of in losses.items()}


def fitted(source: Network, head: nn.Linear, data: Data, training: TrainingSettings, seed: int) -> Network:
    """The source under a classifier of the target, trained by the recipe `fixed` as published.

    That is for 10 epochs, with a tenth of the rate after 6, in batches of 32. The rate is that of `training`.
    """
    published = {
        "epochs": 10,
        "iterations": None,
        "batch_size": _BATCH,
        "schedule": "step",
        "step_epochs": 6,
        "gamma": 0.1,
        "warmup_epochs": 0,
    }
    recipe = Fixed(FixedSettings(training=training.model_copy(update=published)))
    recipe.start(source.with_head(copy.deepcopy(head)), None, Data(data.images, data.positions), seed)
    engine.run(recipe)
    return recipe.inference().eval().requires_grad_(False)


def losses_without(
    network: Network, layer: str, images: Sequence[torch.Tensor], labels: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Sum of the images' losses when a channel of a layer is set to 0, for each channel: float32[C].

    Args:
        images, labels: batches of them.
    """
    with torch.no_grad(), layers.watch(network, [layer]) as seen:
        network.backbone(images[0][:1])
    output = seen[layer]
    channels = torch.arange(output.shape[grids.channel_axis(output.shape)], device=output.device)
    size, total = _AT_ONCE, torch.zeros(len(channels), device=output.device)
    for batch, of_batch in zip(images, labels, strict=True):

        def losses(some: torch.Tensor) -> torch.Tensor:
            return _losses_without(network, layer, batch, of_batch, some)  # noqa: B023 (called at once)

        of_channels, size = fitting.in_parts(losses, channels, size)
        total += of_channels
    return total


@torch.no_grad()
def _losses_without(
    network: Network, layer: str, images: torch.Tensor, labels: torch.Tensor, channels: torch.Tensor
) -> torch.Tensor:
    """The same for some channels in one pass, whose batch grows at the layer: a copy for each channel."""

    def silenced(_: str, output: torch.Tensor) -> torch.Tensor:
        copies = output.repeat(len(channels), *[1] * output.ndim)
        by_channel = copies.movedim(1 + grids.channel_axis(output.shape) % output.ndim, 1)
        by_channel[torch.arange(len(channels), device=channels.device), channels] = 0
        return copies.flatten(0, 1)

    with layers.hooked(network, [layer], silenced):
        logits = network(images)
    losses = functional.cross_entropy(logits, labels.repeat(len(channels)), reduction="none")
    return losses.view(len(channels), -1).sum(1)


def attention(losses: torch.Tensor) -> torch.Tensor:
    """softmax(z / 5) of losses [C] standardised over channels; even if they do not differ."""
    centred = losses - losses.mean()
    spread = centred.square().mean().sqrt()
    return (centred / torch.where(spread > 0, spread, torch.ones_like(spread)) / _SOFTNESS).softmax(0)


def _batches(data: Data, positions: np.ndarray) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Evaluation images at these positions and their labels, in batches."""
    images, _ = data.images.pick(positions)
    labels = data.images.labels[torch.from_numpy(positions).to(data.images.device)]
    return list(images.split(_BATCH)), list(labels.split(_BATCH))
