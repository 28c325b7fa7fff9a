"""Training images that are decoded once for several models, each of which takes those of its own.

In a pass, all images of the split have one order, and every image one crop, shift and mirroring: they depend
on the seed, the number of the pass and the image alone. A model takes its images in that order into batches
of its own, so these depend on its positions alone, whichever models take theirs from the same stream.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferlens.core.errors import ConfigError
from transferlens.core.seeding import rng_for, seed_for
from transferlens.core.settings import InputSettings, TrainingSettings
from transferlens.data import augmentation, ffcv_files
from transferlens.data.index import Examples
from transferlens.data.pipeline import Batch, Pass, StreamingImages

_CHUNK = 256  # images that are decoded at a time, where memory allows


@dataclass(frozen=True)
class Share:
    """What a model takes of a pass: its batches [first, last) there.

    Attributes:
        positions: int64[n], of its images in their split.
    """

    positions: np.ndarray
    batch_size: int
    first: int
    last: int

    def among(self, order: np.ndarray) -> np.ndarray:
        """Whether it takes each image, bool[images], in a pass of this order."""
        own = np.zeros(len(order), bool)
        own[self.positions] = True
        taken = np.zeros(len(order), bool)
        taken[order[own[order]][self.first * self.batch_size : self.last * self.batch_size]] = True
        return taken


@dataclass(frozen=True)
class Drawn:
    """What is drawn for a pass: its order, and how each image of the split is changed.

    Attributes:
        order: int64[images].
        crops: the seed of the crops.
        mirrored: bool[images].
        corners: int64[2, images], of shifts; None where there are none.
    """

    order: np.ndarray
    crops: int
    mirrored: torch.Tensor
    corners: torch.Tensor | None

    @classmethod
    def of(cls, seed: int, number: int, images: int, training: TrainingSettings) -> "Drawn":
        """The draws of a pass of this number; orders are the same for any augmentation."""
        rng = rng_for(seed, "mirrored and shifted", number)
        mirrored, corners = rng.random(images) < 0.5, None
        if training.crop == "translate":
            corners = torch.from_numpy(rng.integers(0, 2 * training.padding + 1, (2, images)))
        return cls(
            rng_for(seed, "order", number).permutation(images),
            seed_for(seed, "crops", number),
            torch.from_numpy(mirrored & training.flip),
            corners,
        )


class _Filling:
    """The batch of a model that is being filled.

    Attributes:
        images: uint8[batch, side, side, 3] on the device; its first `count` are there.
        positions: int64[batch], of these.
    """

    def __init__(self, batch_size: int, like: torch.Tensor):
        self.images = torch.empty((batch_size, *like.shape[1:]), dtype=like.dtype, device=like.device)
        self.positions, self.count = np.empty(batch_size, np.int64), 0

    def full(self, chunk: torch.Tensor, positions: np.ndarray, here: np.ndarray) -> Iterator[None]:
        """Take images of a chunk; yields whenever the batch is full, and then begins the next.

        Args:
            positions: int64[chunk], of its images in their split.
            here: int64[n], those to take.
        """
        while len(here):
            now = here[: len(self.positions) - self.count]
            place = slice(self.count, self.count + len(now))
            chosen = torch.from_numpy(now).to(chunk.device)
            torch.index_select(chunk, 0, chosen, out=self.images[place])
            self.positions[place] = positions[now]
            here, self.count = here[len(now) :], place.stop
            if self.count == len(self.positions):
                yield
                self.count = 0


class SharedImages(StreamingImages):
    """Decoded by FFCV, once a pass for all models that are trained together.

    Args:
        seed: of the orders and of what is drawn for the images, whatever the models' own seeds are.
    """

    def __init__(
        self, beton: Path, examples: Examples, settings: InputSettings, device: torch.device, seed: int
    ):
        super().__init__(beton, examples, settings, device)
        self.seed = seed

    def training_batches(self, one: Pass) -> Iterator[Batch]:
        """The batches that a model has in any company; the pass's seed decides nothing.

        Raises:
            ConfigError: a second view is asked for.
        """
        if one.view:
            raise ConfigError("images shared by models have one view; set input.loading to streaming")
        share = Share(one.positions, one.batch_size, 0, len(one.positions) // one.batch_size)
        for _, batch in self.shared_batches(one.number, one.resolution, one.training, [share]):
            yield batch

    def shared_batches(
        self, number: int, resolution: int, training: TrainingSettings, shares: Sequence[Share]
    ) -> Iterator[tuple[int, Batch]]:
        """The batches of several models in one pass, as they fill.

        Only images that a model takes are decoded. In memory are a chunk of them, as bytes, FFCV's next ones,
        and a batch of every model.

        Args:
            number: of the pass, from 0.
            resolution: side of random resized crops, in pixels.

        Yields:
            The place of the model in `shares`, and its batch: float32[batch, 3, side, side], int64[batch].
        """
        drawn = Drawn.of(self.seed, number, len(self), training)
        taken = [share.among(drawn.order) for share in shares]
        fillings: list[_Filling] = []
        for positions, images in self._chunks(drawn, np.any(taken, 0), resolution, training):
            fillings = fillings or [_Filling(share.batch_size, images) for share in shares]
            for model, filling in enumerate(fillings):
                for _ in filling.full(images, positions, np.flatnonzero(taken[model][positions])):
                    yield model, self._finished(filling, drawn, training)

    def _chunks(
        self, drawn: Drawn, taken: np.ndarray, resolution: int, training: TrainingSettings
    ) -> Iterator[tuple[np.ndarray, torch.Tensor]]:
        """The positions of images bool[images] and their bytes on the device, a chunk at a time, in order."""
        order = drawn.order[taken[drawn.order]]
        loader = self._ordered_loader(resolution, training)
        size = ffcv_files.batch_within_memory(self.beton, _CHUNK)
        loader.restart(order, drawn.crops, size)
        for start, (images,) in zip(range(0, len(order), size), loader, strict=True):
            if training.crop != "random_resized":
                images = augmentation.enlarge(images, self.settings.resolution)
            yield order[start : start + size], images.to(self.device)

    def _ordered_loader(self, resolution: int, training: TrainingSettings) -> Any:
        """FFCV's loader of single images until `restart` says how many at a time."""
        if training.crop == "random_resized":
            given = ffcv_files.ordered_crop_loader, resolution, tuple(training.scale)
        else:
            side = self._decoded_side(self.settings.resolution, self.settings.crop_ratio)
            given = ffcv_files.center_crop_loader, side, self.settings.crop_ratio
        return self._loader(*given, 1)

    def _finished(self, filling: _Filling, drawn: Drawn, training: TrainingSettings) -> Batch:
        """A full batch as networks take it, with its labels."""
        positions, images = torch.from_numpy(filling.positions), filling.images
        if drawn.corners is not None:
            images = augmentation.shift(images, training.padding, drawn.corners[:, positions])
        # As bytes, which are a quarter of what networks take.
        mirrored = augmentation.mirror(images.permute(0, 3, 1, 2), drawn.mirrored[positions])
        return self.normalise(mirrored.permute(0, 2, 3, 1)), self.labels[positions.to(self.device)]

    def _training_images(self, one: Pass, generator: torch.Generator) -> Iterator[Batch]:
        raise NotImplementedError("batches are made by the image, not drawn by a generator")
