"""Remedies: what a fine-tuning learns beside its target, so that memories of the source distract it less.

Every batch is joined by as many images made of it and of source training images of distracting classes, in
one forward pass: batch statistics are those of the mixture. All of it depends on the run's seed alone.
"""

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch.nn import functional

from transferlens.core.config import RemedySettings, TrainingSettings
from transferlens.core.seeding import rng_for, seed_for
from transferlens.data import composites
from transferlens.data.pipeline import Images
from transferlens.maps import evidence
from transferlens.models.architectures import Network
from transferlens.training import engine

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


@contextmanager
def applied(
    settings: RemedySettings, material: Material, network: Network, training: TrainingSettings, seed: int
) -> Iterator["Remedy"]:
    """A remedy for one training run of a network, which is left without hooks.

    Raises:
        ConfigError: `inside`, of a network whose class maps do not add up to its logits.
    """
    remedy = _KINDS[settings.kind](settings, material, network, training, seed)
    with remedy.watching():
        yield remedy


class Remedy:
    """Images that join every batch, and the loss on them; see `engine.Beside`.

    These are composites: the batch's own images, as they were augmented, pasted on images of distracting
    source classes, augmented alike.
    """

    def __init__(
        self,
        settings: RemedySettings,
        material: Material,
        network: Network,
        training: TrainingSettings,
        seed: int,
    ):
        self.weight, self.material, self.network = settings.weight, material, network
        positions = material.positions
        self._sources = engine.endless_batches(
            material.images,
            positions,
            training,
            seed_for(seed, "remedy"),
            engine.steps_per_epoch(len(positions), training),
        )
        self._rng = rng_for(seed, "remedy places")
        self._made = 0

    def watching(self):
        """The context in which the network is trained."""
        return nullcontext()

    def images(self, batch: torch.Tensor) -> torch.Tensor:
        self.resolution = batch.shape[-1]
        self.side = composites.pasted_side(self.resolution, self.material.share)
        self.corners = composites.places(
            len(batch), self.resolution - self.side, self.material.placement, self._rng, self._made
        )
        self._made += len(batch)
        return paste(self._backgrounds(batch), batch, self.corners, self.side)

    def _backgrounds(self, batch: torch.Tensor) -> torch.Tensor:
        """As many source images as the batch has, at its resolution."""
        found, _ = next(self._sources)
        found = resized(found, batch.shape[-1])
        return found[torch.arange(len(batch), device=found.device) % len(found)]

    def loss(self, logits, beside, labels, own) -> torch.Tensor:
        return self.weight * self.penalty(logits, beside, labels, own)

    def penalty(self, logits, beside, labels, own) -> torch.Tensor:
        """The loss on the composites: here that of the batch, as their label is the pasted image's."""
        return own(beside, labels)


class _Uniform(Remedy):
    """Source images as they are, which must not look like any target class."""

    def images(self, batch):
        return self._backgrounds(batch)

    def penalty(self, logits, beside, labels, own):
        return from_uniform(beside)


class _Consistency(Remedy):
    """A composite must be taken for what its pasted image is taken for."""

    def penalty(self, logits, beside, labels, own):
        return from_clean(logits, beside)


class _Inside(Remedy):
    """Evidence for the true class of a composite must lie where it was pasted."""

    @contextmanager
    def watching(self):
        evidence.require_pooling(self.network)
        with evidence.watched(self.network) as self._cells:
            yield

    def penalty(self, logits, beside, labels, own):
        cells = self._cells()[len(logits) :].float()
        found = evidence.class_evidence(cells, self.network.head, labels)
        corners = torch.from_numpy(self.corners).to(found.device)
        return outside(found, corners, self.side, self.resolution)


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
    return functional.kl_div(
        composite.log_softmax(1), clean.detach().log_softmax(1), reduction="batchmean", log_target=True
    )


def outside(found: torch.Tensor, corners: torch.Tensor, side: int, resolution: int) -> torch.Tensor:
    """Mean share of the positive evidence [N, h, w] that lies outside squares at int64[N, 2].

    A map without positive evidence counts as an even one, and gives no gradient.
    """
    positive = found.relu() + _EVEN
    return 1 - evidence.inside_share(positive, *corners.T, side, resolution).mean()


_KINDS = {"composites": Remedy, "uniform": _Uniform, "consistency": _Consistency, "inside": _Inside}
