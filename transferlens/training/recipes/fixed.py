"""Fixed features: a new head on a backbone whose parameters stay as they are."""

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from torch import nn

from transferlens.core.settings import InputSettings
from transferlens.data.pipeline import Batch, Images, Pass, shuffled_batches
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
    _features: "FrozenFeatures | None" = None

    def phases(self) -> Iterator[Phase]:
        """One phase: the head, on cached features or behind the frozen backbone."""
        head = self.network.head
        if self.settings.batchnorm == "train":
            self.network.train()
            yield self.whole_phase(head.parameters(), network=_FrozenBackbone(self.network))
            return
        self.network.eval()
        self._features = FrozenFeatures(self.network, self.data.images, self.data.positions)
        yield self.whole_phase(
            head.parameters(),
            network=head,
            data=self._features,
            training=self.settings.training.model_copy(update={"precision": "float32", "resize": None}),
        )

    def inference(self) -> Network:
        """The network with a head that takes features as they are, not standardised."""
        if self._features is None:
            return self.network
        _, mean, std = self._features.scaled
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


class FrozenFeatures:
    """Standardised features of the evaluation crop in place of images, for the training loop.

    They are computed when they are first asked for: where a killed run goes on, the network is by then as it
    was.

    Args:
        network: in evaluation mode, and left as it is from then on.
        positions: int64[n], the images whose features get mean 0 and standard deviation 1.
    """

    def __init__(self, network: Network, images: Images, positions: np.ndarray):
        self._network, self._images, self._positions = network, images, positions
        self.labels, self.settings, self.device = images.labels, images.settings, images.device

    def __len__(self) -> int:
        return len(self._images)

    @cached_property
    def scaled(self) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """The features [N, D] of all images; the means and deviations [D] that standardised them."""
        # Cloned, as tensors made in inference mode cannot take part in training.
        features = engine.evaluate(self._network.backbone, self._images).clone()
        used = features[torch.from_numpy(self._positions).to(self.device)]
        mean, std = used.mean(0), used.std(0)
        std = torch.where(std > 0, std, torch.ones_like(std))  # a constant feature stays constant
        return (features - mean) / std, mean, std

    def training_batches(self, one: Pass) -> Iterator[Batch]:
        """One shuffled pass."""
        batches = FeatureBatches(self.scaled[0], self.labels, self.settings, self.device)
        yield from batches.training_batches(one)


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
