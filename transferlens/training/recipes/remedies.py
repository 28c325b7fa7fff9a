"""Remedies: what a fine-tuning learns beside its target, so that memories of the source distract it less.

Every batch is joined by as many images made of it and of source training images of distracting classes, in
one forward pass: batch statistics are those of the mixture. All of it depends on the run's seed alone.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from transferlens.core.seeding import rng_for, seed_for
from transferlens.data import composites
from transferlens.data.pipeline import Batch, Images
from transferlens.maps import evidence
from transferlens.models.network import Network
from transferlens.training import engine, schedule
from transferlens.training.recipes.base import Data, Phase, Recipe
from transferlens.training.recipes.distillation import divergence
from transferlens.training.recipes.settings.remedies import RemediedSettings

_EVEN = 1e-6  # logits


@dataclass(frozen=True)
class Material:
    """What remedies are made of.

    Attributes:
        images: the source's training images.
        classes: int64[distracting classes], the source classes in use.
        class_names: their names.
        share: side of the pasted images, as a share of the network input's.
        placement: where they are pasted, as in `composites.places`.
    """

    images: Images
    classes: np.ndarray
    class_names: list[str]
    share: float
    placement: str

    @property
    def positions(self) -> np.ndarray:
        """int64: the training images of these classes."""
        return np.flatnonzero(np.isin(self.images.examples.labels, self.classes))


class Composites(Recipe):
    """Composites join every batch: its own images, as they were augmented, pasted on images of distracting
    source classes, augmented alike. Their label is the pasted image's."""

    settings: RemediedSettings

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run, with the source's images that join its batches."""
        super().start(network, source, data, seed)
        self.material: Material = data.material
        self._rng = rng_for(seed, "remedy places")
        self._made, self._used = 0, 0
        self._sources = self._batches(start=0)

    def _batches(self, start: int) -> Iterator[Batch]:
        """Batches of source images without end, from number `start` on."""
        positions, training = self.material.positions, self.settings.training
        steps = schedule.steps_per_epoch(len(positions), training)
        seed = seed_for(self.seed, "remedy")
        return engine.endless_batches(self.material.images, positions, training, seed, steps, start=start)

    def state(self) -> dict[str, Any]:
        """How many source images were used, and where the next are pasted."""
        return {"used": self._used, "made": self._made, "places": self._rng.bit_generator.state}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on with the next source images and places."""
        self._used, self._made = state["used"], state["made"]
        self._rng.bit_generator.state = state["places"]
        self._sources = self._batches(start=self._used)

    def phases(self) -> Iterator[Phase]:
        """One phase: batches and their extra images are paired, so that none may be cut."""
        self.mode()
        yield self.whole_phase(divisible=False)

    def extra_images(self, batch: torch.Tensor) -> torch.Tensor:
        """Composites of the batch, pasted on as many source images."""
        self.resolution = batch.shape[-1]
        self.side = composites.pasted_side(self.resolution, self.material.share)
        self.corners = composites.places(
            len(batch), self.resolution - self.side, self.material.placement, self._rng, self._made
        )
        self._made += len(batch)
        return paste(self.backgrounds(batch), batch, self.corners, self.side)

    def backgrounds(self, batch: torch.Tensor) -> torch.Tensor:
        """As many source images as the batch has, at its resolution."""
        images, _ = next(self._sources)
        self._used += 1
        images = resized(images, batch.shape[-1])
        return images[torch.arange(len(batch), device=images.device) % len(images)]

    def loss(
        self,
        logits: torch.Tensor,
        features: Mapping[str, torch.Tensor],
        labels: torch.Tensor,
        parameters: Mapping[str, nn.Parameter],
    ) -> torch.Tensor:
        """The batch's cross-entropy, and `penalty` of the extra images by its weight."""
        own, beside = logits[: len(labels)], logits[len(labels) :]
        cells = {layer: output[len(labels) :] for layer, output in features.items()}
        penalty = self.penalty(own, beside, cells, labels)
        return self.phase.criterion(own, labels) + self.settings.weight * penalty

    def penalty(
        self,
        logits: torch.Tensor,
        beside: torch.Tensor,
        features: Mapping[str, torch.Tensor],
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """The loss on the extra images: here that of the batch.

        Args:
            logits: [N, C], of the batch.
            beside: [N, C], of the extra images.
            features: outputs of the watched layers for the extra images.
            labels: int64[N], of the batch.
        """
        return self.phase.criterion(beside, labels)


class Uniform(Composites):
    """Source images as they are, which must not look like any target class."""

    def extra_images(self, batch: torch.Tensor) -> torch.Tensor:
        """Source images as they are, one for each image of the batch."""
        return self.backgrounds(batch)

    def penalty(
        self,
        logits: torch.Tensor,
        beside: torch.Tensor,
        features: Mapping[str, torch.Tensor],
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """Distance of the source images' predictions from uniform ones."""
        return from_uniform(beside)


class Consistency(Composites):
    """A composite must be taken for what its pasted image is taken for."""

    def penalty(
        self,
        logits: torch.Tensor,
        beside: torch.Tensor,
        features: Mapping[str, torch.Tensor],
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """Distance of the composites' predictions from those of their pasted images."""
        return from_clean(logits, beside)


class Inside(Composites):
    """Evidence for the true class of a composite must lie where it was pasted."""

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run.

        Raises:
            ConfigError: a network whose class maps do not add up to its logits.
        """
        evidence.require_pooling(network)
        super().start(network, source, data, seed)
        self.watched = (f"backbone.{network.class_map_layer}",)

    def penalty(
        self,
        logits: torch.Tensor,
        beside: torch.Tensor,
        features: Mapping[str, torch.Tensor],
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """Share of the composites' evidence that lies outside the pasted images."""
        cells = self.network.maps_of(features[self.watched[0]].float())
        maps = evidence.class_evidence(self.network, cells, labels)
        corners = torch.from_numpy(self.corners).to(maps.device)
        return outside(maps, corners, self.side, self.resolution)


def resized(images: torch.Tensor, side: int) -> torch.Tensor:
    """Images [N, 3, H, W] at another side, bilinear with anti-aliasing; the same if they have it."""
    if images.shape[-1] == side and images.shape[-2] == side:
        return images
    return functional.interpolate(images, (side, side), mode="bilinear", antialias=True, align_corners=False)


def paste(backgrounds: torch.Tensor, overlays: torch.Tensor, corners: np.ndarray, side: int) -> torch.Tensor:
    """Overlays [N, 3, h, w], shrunk to `side` pixels a side, on backgrounds [N, 3, H, W] at int64[N, 2]."""
    made = backgrounds.clone()
    x, y = torch.from_numpy(corners).to(backgrounds.device).unbind(1)
    offsets = torch.arange(side, device=backgrounds.device)
    images = torch.arange(len(backgrounds), device=backgrounds.device)[:, None, None]
    rows, columns = (y[:, None] + offsets)[:, :, None], (x[:, None] + offsets)[:, None, :]
    made.permute(0, 2, 3, 1)[images, rows, columns] = resized(overlays, side).permute(0, 2, 3, 1)
    return made


def from_uniform(logits: torch.Tensor) -> torch.Tensor:
    """Mean divergence KL(uniform || p) of logits [N, C]; 0 where all classes are equally likely."""
    return -logits.log_softmax(1).mean() - np.log(logits.shape[1])


def from_clean(clean: torch.Tensor, composite: torch.Tensor) -> torch.Tensor:
    """Mean divergence KL(p(clean) || p(composite)) of logits [N, C]; the clean side is only looked at."""
    return divergence(clean.detach(), composite)


def outside(maps: torch.Tensor, corners: torch.Tensor, side: int, resolution: int) -> torch.Tensor:
    """Mean share of the positive evidence [N, h, w] that lies outside squares at int64[N, 2].

    A map without positive evidence counts as an even one, and gives no gradient.
    """
    positive = maps.relu() + _EVEN
    return 1 - evidence.inside_share(positive, *corners.T, side, resolution).mean()
