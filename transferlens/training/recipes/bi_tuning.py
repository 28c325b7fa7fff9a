"""Bi-Tuning: fine-tuning beside two contrasts by class, of projected features and of features with the head.

    L = CE + w (L_z + L_y)

With h the features, z = p(h) / |p(h)| of a projector p, and the keys of another view by a moving average of
network and projector, both are the loss of `contrastive`:

    L_z:  query z;      positives the key of the same image and the queue of its class
    L_y:  query w_c;    positives h and the queue of features of class c;  w_c the row of the head
          (h and rows of the head as unit vectors of [h, 1] and [W_c, b_c])

and the queues of all other classes are negatives.

Caveat: the head's rows are only looked at, so that L_y trains the backbone alone, through h. As released, L_y
reads queues that the batch has entered and L_z reads them before (`class_keys: before` makes both alike).

Source: Zhong et al., Bi-Tuning: efficient transfer from pre-trained models (IROS 2024, arXiv:2011.06182); a
description of the implementation in TLlib.
"""

from collections.abc import Iterator

import torch
from torch import nn
from torch.nn import functional

from transferlens.core.seeding import seed_for
from transferlens.models.network import Network
from transferlens.training.recipes.base import Data, Group, Phase
from transferlens.training.recipes.contrastive import (
    ClassQueue,
    Contrasting,
    KeyEncoder,
    contrast,
    drawn_by,
    unit,
)
from transferlens.training.recipes.settings.contrastive import BiTuningSettings


class BiTuning(Contrasting):
    """Classifies images, and contrasts their features with those of all classes and with the head."""

    settings: BiTuningSettings

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run, with empty queues and keys by the network itself."""
        super().start(network, source, data, seed)
        head, length, size = network.head, self.settings.queue, self.settings.projection
        with drawn_by(seed_for(seed, "contrast")):
            self.beside["projector"] = nn.Linear(head.in_features, size)
            self.beside["projected"] = ClassQueue(head.out_features, length, size)
            self.beside["features"] = ClassQueue(head.out_features, length, head.in_features + 1)
        self.beside.to(head.weight.device)
        self.beside["key"] = KeyEncoder(self._encoder(), self.settings.key_momentum)

    def _encoder(self) -> nn.ModuleList:
        """What keys are made by."""
        return nn.ModuleList([self.network.backbone, self.beside["projector"]])

    def groups(self) -> list[Group]:
        """The head; the backbone and the projector at a rate of their own."""
        return [
            Group(list(self.network.head.parameters())),
            Group(list(self._encoder().parameters()), self.settings.backbone_rate),
        ]

    def phases(self) -> Iterator[Phase]:
        """One phase, of two views made alike."""
        self.mode()
        yield self.whole_phase(views=(self.settings.training,) * 2)

    def step(self, views: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and the logits [N, C] of the first view."""
        with self.phase.autocast():
            features = self.network.backbone(views[0])
            logits = self.network.head(features).float()
        loss = self.phase.criterion(logits, labels)
        if self.settings.weight:
            loss = loss + self.settings.weight * self._contrasts(features, views[1], labels)
        return loss, logits

    def _contrasts(self, features: torch.Tensor, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """L_z + L_y of features [N, D], with keys of another view."""
        projected, extended = self._vectors(features, self.beside["projector"])
        self.beside["key"].follow(self._encoder())
        projected_keys, extended_keys = self._keys(images)
        temperature = self.settings.temperature
        before = self.enqueue("projected", projected_keys, labels)
        by_features = contrast(projected, projected_keys, before, labels, temperature)
        seen = self.enqueue("features", extended_keys, labels)
        if self.settings.class_keys == "after":
            seen = self.keys_in("features")
        rows = class_vectors(self.network.head)[labels]
        return by_features + contrast(rows, extended, seen, labels, temperature)

    def _vectors(self, features: torch.Tensor, projector: nn.Module) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit vectors of features [N, D]: projected, and with a one behind them [N, D + 1]."""
        with self.phase.autocast():
            projected = projector(features).float()
        return unit(projected), unit(functional.pad(features.float(), (0, 1), value=1.0))

    @torch.no_grad()
    def _keys(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The same of images, by the keys' encoder."""
        backbone, projector = self.beside["key"].network
        with self.phase.autocast():
            features = backbone(images)
        return self._vectors(features, projector)


@torch.no_grad()
def class_vectors(head: nn.Linear) -> torch.Tensor:
    """Unit vectors [C, D + 1] of the rows of a head with its biases behind them."""
    bias = head.weight.new_zeros(head.out_features) if head.bias is None else head.bias
    return unit(torch.cat([head.weight, bias[:, None]], 1))
