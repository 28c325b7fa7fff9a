"""Fixed features: a new head on a backbone whose parameters stay as they are."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import nn

from transferlens.core.settings import InputSettings
from transferlens.data.pipeline import Batch, Pass, shuffled_batches
from transferlens.models.network import Network
from transferlens.training import engine
from transferlens.training.recipes.base import Phase, Recipe
from transferlens.training.recipes.settings.plain import FixedSettings


class Fixed(Recipe):
    """Trains the head only.

    * batchnorm `eval`: the features of the evaluation crop are computed once, and the head is trained on
      them, standardised (then folded back): the features of source models differ in scale by orders of
      magnitude, and one learning rate must be fair to all, to random weights above all.
    * batchnorm `train`: the frozen backbone normalises with batch statistics, and its running ones drift
      towards the target.
    """

    settings: FixedSettings
    _scale: tuple[torch.Tensor, torch.Tensor] | None = None

    def phases(self) -> Iterator[Phase]:
        """One phase: the head, on cached features or behind the frozen backbone."""
        head = self.network.head
        if self.settings.batchnorm == "train":
            self.network.train()
            yield self.whole_phase(head.parameters(), network=_FrozenBackbone(self.network))
            return
        self.network.eval()
        images = self.data.images
        # Cloned, as tensors made in inference mode cannot take part in training.
        features = engine.evaluate(self.network.backbone, images).clone()
        mean, std = features.mean(0), features.std(0)
        std = torch.where(std > 0, std, torch.ones_like(std))  # a constant feature stays constant
        self._scale = mean, std
        yield self.whole_phase(
            head.parameters(),
            network=head,
            data=FeatureBatches((features - mean) / std, images.labels, images.settings, images.device),
            training=self.settings.training.model_copy(update={"precision": "float32", "resize": None}),
        )

    def inference(self) -> Network:
        """The network with a head that takes features as they are, not standardised."""
        if self._scale is None:
            return self.network
        mean, std = self._scale
        head = copy.deepcopy(self.network.head)
        with torch.no_grad():
            head.weight /= std
            head.bias -= head.weight @ mean
        return self.network.with_head(head)


class _FrozenBackbone(nn.Module):
    """The network with gradients for its head only."""

    def __init__(self, network: Network):
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            features = self.network.backbone(images)
        return self.network.head(features)


@dataclass(frozen=True)
class FeatureBatches:
    """Cached features [N, D] in place of images, for the training loop."""

    features: torch.Tensor
    labels: torch.Tensor
    settings: InputSettings
    device: torch.device

    def __len__(self) -> int:
        return len(self.features)

    def training_batches(self, one: Pass) -> Iterator[Batch]:
        """One shuffled pass; features are not augmented, and know no resolution."""
        for batch in shuffled_batches(one):
            batch = batch.to(self.device)
            yield self.features[batch], self.labels[batch]
