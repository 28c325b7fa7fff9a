"""One split of a data set as batches on the device, decoded once (resident) or every epoch (streaming)."""

import inspect
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from transferlens.core.seeding import seed_for
from transferlens.core.settings import InputSettings, TrainingSettings
from transferlens.data import augmentation, decoded, ffcv_files
from transferlens.data.index import Examples

Batch = tuple[torch.Tensor, torch.Tensor]


@dataclass(frozen=True)
class Pass:
    """One shuffled pass over training images.

    Its order depends on (seed, number) alone, the augmentation on (seed, number, view): views are the same
    images in the same order.

    Attributes:
        positions: int64[n], of the images in their split.
        training: how they are augmented.
        number: of the pass, from 0.
        resolution: side of the augmented images, in pixels.
    """

    positions: np.ndarray
    training: TrainingSettings
    batch_size: int
    number: int
    seed: int
    resolution: int
    view: int = 0


class Images(ABC):
    """The images of one split, for training and for evaluation."""

    def __init__(self, beton: Path, examples: Examples, settings: InputSettings, device: torch.device):
        ffcv_files.check(beton, len(examples))
        self.beton, self.examples, self.settings, self.device = beton, examples, settings, device
        self.labels = torch.from_numpy(examples.labels).to(device)
        self._mean = torch.tensor(settings.mean, device=device)
        self._std = torch.tensor(settings.std, device=device)

    def __len__(self) -> int:
        return len(self.examples)

    def evaluation_batches(self, batch_size: int) -> Iterator[torch.Tensor]:
        """All images in order, centre-cropped: float32[batch, 3, resolution, resolution]."""
        for images in self._evaluation_bytes(batch_size):
            yield self.normalise(images)

    def training_batches(self, one: Pass) -> Iterator[Batch]:
        """One shuffled, augmented pass over training images; incomplete batches are dropped.

        Yields float32[batch, 3, resolution, resolution] and int64[batch].
        """
        parts = (one.view,) if one.view else ()
        generator = torch.Generator().manual_seed(seed_for(one.seed, "augmentation", one.number, *parts))
        for images, labels in self._training_images(one, generator):
            yield augmentation.flip(images, generator) if one.training.flip else images, labels

    def pick(self, positions: np.ndarray) -> tuple[torch.Tensor, np.ndarray]:
        """A few evaluation images float32[n, 3, side, side], and their bytes uint8[n, side, side, 3]."""
        pixels = self.bytes_of(positions)
        return self.normalise(torch.from_numpy(pixels)), pixels

    def bytes_of(self, positions: np.ndarray) -> np.ndarray:
        """Evaluation images as bytes uint8[n, side, side, 3]."""
        side = self.settings.resolution
        pixels, start = np.empty((len(positions), side, side, 3), np.uint8), 0
        for images in self._evaluation_bytes(512):
            (here,) = np.nonzero((positions >= start) & (positions < start + len(images)))
            if len(here):
                pixels[here] = images[torch.from_numpy(positions[here] - start)].cpu().numpy()
            start += len(images)
        return pixels

    def normalise(self, images: torch.Tensor) -> torch.Tensor:
        """Bytes uint8[n, side, side, 3] as networks take them: float32[n, 3, side, side] on the device."""
        return augmentation.normalise(images.to(self.device), self._mean, self._std)

    @property
    def channels(self) -> tuple[torch.Tensor, torch.Tensor]:
        """What `normalise` subtracts from pixels in [0, 1], and what it divides them by, each [3, 1, 1]."""
        return self._mean[:, None, None], self._std[:, None, None]

    def _decoded_side(self, resolution: int, crop_ratio: float) -> int:
        """The side that FFCV decodes centre crops to; what is lacking is enlarged afterwards."""
        if self.settings.enlarging == "area":
            return resolution
        return min(resolution, ffcv_files.largest_crop(self.beton, crop_ratio))

    @abstractmethod
    def _evaluation_bytes(self, batch_size: int) -> Iterator[torch.Tensor]: ...

    @abstractmethod
    def _training_images(self, one: Pass, generator: torch.Generator) -> Iterator[Batch]: ...


class ResidentImages(Images):
    """Decoded once, or read from a decoded copy; bytes stay on the device and are augmented there.

    Random resized crops are taken from the central square, stored at a side that shows as much as the
    evaluation crop does at the input resolution.
    """

    def __init__(self, beton: Path, examples: Examples, settings: InputSettings, device: torch.device):
        super().__init__(beton, examples, settings, device)
        self._decoded: dict[tuple[int, float], torch.Tensor] = {}

    def _bytes(self, resolution: int, crop_ratio: float) -> torch.Tensor:
        key = (resolution, crop_ratio)
        if key not in self._decoded:
            crop = (*key, self.settings.enlarging)
            code = [
                inspect.getsource(part) for part in (ffcv_files, Images._decoded_side, type(self)._decode)
            ]
            images = decoded.decoded(self.beton, crop, code, lambda: self._decode(*key).numpy())
            self._decoded[key] = augmentation.enlarge(torch.from_numpy(images), resolution).to(self.device)
        return self._decoded[key]

    def _decode(self, resolution: int, crop_ratio: float) -> torch.Tensor:
        side, workers = self._decoded_side(resolution, crop_ratio), torch.get_num_threads()
        return ffcv_files.decode_all(self.beton, side, crop_ratio, workers=workers)

    def _evaluation_bytes(self, batch_size: int) -> Iterator[torch.Tensor]:
        yield from self._bytes(self.settings.resolution, self.settings.crop_ratio).split(batch_size)

    def _training_images(self, one: Pass, generator: torch.Generator) -> Iterator[Batch]:
        training = one.training
        if training.crop == "random_resized":
            source = self._bytes(resident_side(self.settings, training), 1.0)
        else:
            source = self._bytes(self.settings.resolution, self.settings.crop_ratio)
        for batch in shuffled_batches(one):
            batch = batch.to(self.device)
            images = source[batch]
            if training.crop == "random_resized":
                images = augmentation.random_resized_crop(
                    self.normalise(images), one.resolution, training.scale, generator
                )
            elif training.crop == "translate":
                images = self.normalise(augmentation.translate(images, training.padding, generator))
            else:
                images = self.normalise(images)
            yield images, self.labels[batch]


class StreamingImages(Images):
    """Decoded by FFCV in every pass, for data that does not fit."""

    def __init__(self, beton: Path, examples: Examples, settings: InputSettings, device: torch.device):
        super().__init__(beton, examples, settings, device)
        self._loaders: dict[tuple, object] = {}

    def _loader(self, make: Callable, *arguments: Any, view: int = 0) -> Any:
        """FFCV's loader for these arguments, made once: compiling takes seconds, a pass may take less.

        Views are read side by side, so that each has a loader of its own.
        """
        key = (make, view, *arguments)
        if key not in self._loaders:
            self._loaders[key] = make(self.beton, *arguments, torch.get_num_threads())
        return self._loaders[key]

    def _evaluation_bytes(self, batch_size: int) -> Iterator[torch.Tensor]:
        side, crop_ratio = self.settings.resolution, self.settings.crop_ratio
        crop = (self._decoded_side(side, crop_ratio), crop_ratio)
        batch_size = ffcv_files.batch_within_memory(self.beton, batch_size)
        for (images,) in self._loader(ffcv_files.center_crop_loader, *crop, batch_size):
            yield augmentation.enlarge(images, side)

    def _training_images(self, one: Pass, generator: torch.Generator) -> Iterator[Batch]:
        training = one.training
        if training.crop == "random_resized":
            first, scale = self.settings.resolution, tuple(training.scale)
            given = first, scale, training.batch_size
            loader = self._loader(ffcv_files.random_crop_loader, *given, view=one.view)
            loader.set_resolution(one.resolution)
        else:
            side = self._decoded_side(self.settings.resolution, self.settings.crop_ratio)
            given = side, self.settings.crop_ratio, training.batch_size
            loader = self._loader(ffcv_files.shuffled_center_crop_loader, *given, view=one.view)
        loader.restart(one.positions, seed_for(one.seed, "order", one.number), one.batch_size, one.view)
        for images, labels in loader:
            if training.crop != "random_resized":
                images = augmentation.enlarge(images, self.settings.resolution)
            if training.crop == "translate":
                images = augmentation.translate(images, training.padding, generator)
            yield self.normalise(images), labels[:, 0].long().to(self.device)


def shuffled_batches(one: Pass) -> Iterator[torch.Tensor]:
    """The positions of a pass in its order, in complete batches int64[batch]."""
    generator = torch.Generator().manual_seed(seed_for(one.seed, "order", one.number))
    order = torch.from_numpy(one.positions)[torch.randperm(len(one.positions), generator=generator)]
    complete = len(order) - len(order) % one.batch_size
    yield from order[:complete].split(one.batch_size)


def resident_side(settings: InputSettings, training: TrainingSettings) -> int:
    """Side of the stored square that random resized crops are taken from, in pixels."""
    largest = max(settings.resolution, training.resize.high if training.resize else 0)
    return math.ceil(largest / settings.crop_ratio)


def open_images(beton: Path, examples: Examples, settings: InputSettings, device: torch.device) -> Images:
    """The images of a split by the configured way of loading (`auto` goes by the decoded size).

    Where models do not share them (`data.shared`), those to be shared are streamed.
    """
    loading = settings.loading
    if loading == "auto":
        side = math.ceil(settings.resolution / settings.crop_ratio)
        gigabytes = len(examples) * side**2 * 3 / 1e9
        loading = "resident" if gigabytes <= settings.resident_limit_gb else "streaming"
    kind = {"resident": ResidentImages, "streaming": StreamingImages, "shared": StreamingImages}[loading]
    return kind(beton, examples, settings, device)
