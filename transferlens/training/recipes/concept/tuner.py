"""Concept-Tuning: fine-tuning that maximises what patches and images of a class have in common, with a second
head that adjusts for features that go together by chance.

    L = CE(y, c) + a L_image + b L_concept + g CE(l, c) + i KL

with y the logits of the network's head and l those of the head behind attention and bottleneck, all of
view 0. L_image contrasts the unit vector of y with keys of view 1; L_concept those of nine patches of view 2
with keys of patches of view 3. Keys come from a moving average of the network, before each step.

Caveats: the space of both contrasts is that of the logits, so that vectors have as many numbers as there are
classes. L_concept trains the backbone alone: patches see a detached head, as released. Weights, sizes and
queues are those of the released code for a ResNet-50 at 224 px, batches of 48 and 200 classes; where it and
the described method differ, a setting says which.

Source: Yang, Huang and Wei, Concept-wise fine-tuning matters in preventing negative transfer (ICCV 2023,
arXiv:2311.06868), by a description of its released code.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import nn

from transferlens.core.seeding import seed_for
from transferlens.models.network import Network
from transferlens.training import fitting, schedule
from transferlens.training.recipes.base import Data, Group, Phase
from transferlens.training.recipes.concept.bottleneck import Bottlenecked, Encoder, information
from transferlens.training.recipes.concept.losses import Transport, concept_contrast
from transferlens.training.recipes.concept.patches import PATCHES, Found, patch_pixels, search
from transferlens.training.recipes.concept.seen import Seen, patches_of_images, patches_of_maps, seen_by
from transferlens.training.recipes.contrastive import (
    ClassQueue,
    Contrasting,
    KeyEncoder,
    Keys,
    contrast,
    drawn_by,
    unit,
)
from transferlens.training.recipes.settings.concept import ConceptSettings

MOST_CONFUSING = 100  # classes, where the settings do not say: the published default


class ConceptTuning(Contrasting):
    """Classifies images and contrasts them and their patches with keys of all classes.

    Attributes:
        plain: the network with the head on its features; `network` itself, or inside of it.
    """

    settings: ConceptSettings
    plain: Network

    @classmethod
    def refuses(cls, settings: ConceptSettings, network: Network) -> str:
        """Networks whose head does not read what is pooled from a map, or of too few channels."""
        if isinstance(network.backbone, Bottlenecked):  # converted
            network = network.backbone.inner
        parts, channels = network.parts, network.head.in_features
        if parts.class_map_layer is None or not (parts.pools or parts.prefix_tokens):
            return "it looks for patches in the map that features are made of, and here they are made of none"
        if channels < PATCHES:
            return f"it looks for patches by {PATCHES} groups of channels, and this network has {channels}"
        if settings.patch_source == "image" and settings.patch_pixels is None and _takes_one_size(network):
            return (
                "its patches are smaller than images, and this network takes images of one size; set "
                "patch_source: feature, or patch_pixels to that size"
            )
        return ""

    def convert(self, network: Network) -> Network:
        """The network itself, or that behind the bottleneck."""
        if self.settings.head == "classifier":
            return network
        with drawn_by(0):  # `start` draws them by the run's seed
            encoder, decoder = self._bottleneck(network)
        parts = replace(
            network.parts,
            class_map_layer=f"inner.backbone.{network.class_map_layer}",
            pools=False,
            norm=None,
            blocks=tuple(f"inner.backbone.{block}" for block in network.parts.blocks),
        )
        return Network(Bottlenecked(network, encoder), decoder, parts)

    def start(self, network: Network, source: Network | None, data: Data, seed: int) -> None:
        """Take up a run, with empty queues and keys by the network itself."""
        super().start(network, source, data, seed)
        behind = self.settings.head == "bottleneck"
        self.plain = network.backbone.inner if behind else network
        with drawn_by(seed_for(seed, "concepts")):
            encoder, decoder = self._bottleneck(self.plain)
            self._make_beside()
        if behind:  # the weights that it would have beside the network, too
            network.backbone.encoder.load_state_dict(encoder.state_dict())
            network.head.load_state_dict(decoder.state_dict())
            encoder, decoder = network.backbone.encoder, network.head
        else:
            self.beside["encoder"], self.beside["decoder"] = encoder, decoder
        self.encoder, self.decoder = encoder, decoder
        self._steps = 0

    def further_heads(self) -> dict[str, nn.Module]:
        """The head that the trained network does not have, where it is trained."""
        if self.settings.head == "bottleneck":
            return {"classifier": self.plain}
        if not self.settings.bottleneck_weight:
            return {}
        return {"bottleneck": nn.Sequential(Bottlenecked(self.plain, self.encoder), self.decoder)}

    def _bottleneck(self, network: Network) -> tuple[Encoder, nn.Linear]:
        weight, settings = network.head.weight, self.settings
        encoder = Encoder(network.head.in_features, settings.bottleneck, settings.attention)
        decoder = nn.Linear(settings.bottleneck, network.head.out_features)
        return encoder.to(weight.device), decoder.to(weight.device)

    def _make_beside(self) -> None:
        settings, classes = self.settings, self.plain.head.out_features
        device = self.plain.head.weight.device
        if settings.image_weight or settings.concept_weight:
            self.beside["key"] = KeyEncoder(self.plain, settings.key_momentum)
        if settings.image_weight:
            self.beside["images"] = ClassQueue(classes, settings.queue, classes).to(device)
        if settings.concept_weight:
            self.beside["concepts"] = ClassQueue(classes, settings.queue, PATCHES, classes).to(device)

    def state(self) -> dict[str, Any]:
        """Optimiser steps taken."""
        return {"steps": self._steps}

    def load_state(self, state: Mapping[str, Any]) -> None:
        """Go on from there."""
        self._steps = state["steps"]

    def after_step(self, step: int) -> None:
        """Count."""
        self._steps = step + 1

    def groups(self) -> list[Group]:
        """Both heads, and the backbone at a rate of its own."""
        heads = self.plain.head, self.encoder, self.decoder
        parameters = [parameter for head in heads for parameter in head.parameters()]
        return [Group(parameters), Group(list(self.plain.backbone.parameters()), self.settings.backbone_rate)]

    def phases(self) -> Iterator[Phase]:
        """One phase, of two views of images and two that patches are cut from."""
        self.mode()
        image = self.settings.training
        patch = image.model_copy(update={"scale": self.settings.patch_scale})
        yield self.whole_phase(views=(image, image, patch, patch))

    def step(self, views: list[torch.Tensor], labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss, and the logits [N, C] of the first view by the head that is kept."""
        with self.phase.autocast():
            seen = seen_by(self.plain, views[0])
            logits = self.plain.head(seen.features).float()
        loss, kept = self.phase.criterion(logits, labels), logits
        if self.settings.bottleneck_weight or self.settings.information_weight:
            behind, penalty = self._behind_bottleneck(seen.maps, labels)
            loss = loss + penalty
            kept = behind if self.settings.head == "bottleneck" else logits
        if "key" in self.beside:
            loss = loss + self._contrasts(unit(logits), views[1:], labels)
        return loss, kept

    def _behind_bottleneck(
        self, maps: torch.Tensor, labels: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits of the second head, and its loss."""
        settings = self.settings
        with self.phase.autocast():
            encoded = self.encoder(maps)
            logits = self.decoder(encoded.sampled()).float()
        own = settings.bottleneck_weight * self.phase.criterion(logits, labels)
        return logits, own + settings.information_weight * information(encoded, settings.bottleneck_kl)

    def _contrasts(
        self, query: torch.Tensor, views: list[torch.Tensor], labels: torch.Tensor
    ) -> torch.Tensor:
        """The losses of unit vectors [N, C] of images, and of their patches; views are the other three.

        Patches are found by the keys' encoder as it was; then it follows the network, and makes keys.
        """
        image, patch, patch_key = views
        queries = self._patch_queries(patch, labels) if self._contrasts_patches() else None
        self.beside["key"].follow(self.plain)
        loss = query.new_zeros(())
        if "images" in self.beside:
            own = self._image_keys(image)
            before = self.enqueue("images", own, labels)
            alike = contrast(query, own, before, labels, self.settings.temperature)
            loss = loss + self.settings.image_weight * alike
        if "concepts" in self.beside:
            own = self._patch_keys(patch_key, labels)
            before = self.enqueue("concepts", own, labels)
            if queries:
                loss = loss + self.settings.concept_weight * self._concept_loss(queries, own, before, labels)
        return loss

    def _contrasts_patches(self) -> bool:
        """Whether patches are contrasted in the present epoch."""
        phase = self.phase
        per_epoch = phase.steps or schedule.steps_per_epoch(len(phase.positions), phase.training, phase.seed)
        return "concepts" in self.beside and self._steps >= self.settings.concept_from * per_epoch

    @torch.no_grad()
    def _image_keys(self, images: torch.Tensor) -> torch.Tensor:
        """Unit vectors [N, C] of images."""
        return unit(self.logits(images, self.beside["key"].network))

    def _patch_queries(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Unit vectors [N, 9, C] of patches, and the classes [N, n] that images are taken for."""
        _, found = self._found(images, labels)
        return self._read(self.plain, images, found.boxes), found.confusing

    @torch.no_grad()
    def _patch_keys(self, images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        """Unit vectors [N, 9, C] of patches."""
        seen, found = self._found(images, labels)
        return self._read(self.beside["key"].network, images, found.boxes, seen.maps)

    @torch.no_grad()
    def _found(self, images: torch.Tensor, labels: torch.Tensor) -> tuple[Seen, Found]:
        """What the keys' encoder sees of images, and patches by it."""
        network, classes = self.beside["key"].network, self.plain.head.out_features
        with self.phase.autocast():
            seen = seen_by(network, images)
            logits = network.head(seen.features).float()
        n = self.settings.confusing or min(classes - 1, MOST_CONFUSING)
        return seen, search(seen.maps.float(), logits, labels, network.head.weight, n, images.shape[-1])

    def _read(
        self,
        network: Network,
        images: torch.Tensor,
        boxes: torch.Tensor,
        maps: torch.Tensor | None = None,
    ) -> torch.Tensor:
        """Unit vectors [N, 9, C] of patches of images; or of maps [N, D, h, w] of theirs, made if need be.

        Running statistics stay.
        """
        side = images.shape[-1]
        with self.phase.autocast():
            if self.settings.patch_source == "image":
                pixels = self.settings.patch_pixels or patch_pixels(side)
                return patches_of_images(network, images, boxes, pixels)
            if maps is None:
                with fitting.statistics_kept(network.backbone):
                    maps = seen_by(network, images).maps
            return patches_of_maps(network, maps, boxes, side)

    def _concept_loss(
        self,
        queries: tuple[torch.Tensor, torch.Tensor],
        own: torch.Tensor,
        queue: Keys,
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """Of patches and the classes they are to be told from, with keys [N, 9, C] of the other view."""
        vectors, confusing = queries
        choose = Transport(self.settings.sinkhorn_iterations, self.settings.sinkhorn_tolerance)
        return concept_contrast(vectors, own, queue, labels, confusing, self.settings.temperature, choose)


def _takes_one_size(network: Network) -> bool:
    """Whether images of two usual sizes do not both pass through a network."""
    backbone, device = network.backbone.eval(), network.head.weight.device
    try:
        with torch.no_grad():
            for side in (160, 224):
                backbone(torch.zeros(1, 3, side, side, device=device))
    except (RuntimeError, AssertionError, ValueError):
        return True
    return False
