"""The images that networks are compared on."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch

from transferlens.core.errors import DataError
from transferlens.core.seeding import rng_for
from transferlens.data.index import Examples
from transferlens.data.pipeline import Images
from transferlens.dynamics.settings import ProbeSettings


@dataclass(frozen=True)
class Probe:
    """Fixed images in a fixed order, in batches of one size.

    Attributes:
        images: of the split that they are drawn from.
        positions: int64[n], in this split.
        pixels: uint8[n, side, side, 3], as evaluation crops them.
        batch: images of a batch.
    """

    images: Images
    positions: np.ndarray
    pixels: np.ndarray
    batch: int

    def __len__(self) -> int:
        return len(self.positions)

    @property
    def labels(self) -> np.ndarray:
        """int64[n], the true classes."""
        return self.images.examples.labels[self.positions]

    @property
    def ids(self) -> list[str]:
        """Names of the images."""
        return [self.images.examples.ids[i] for i in self.positions]

    @property
    def batches(self) -> int:
        """How many there are."""
        return len(self) // self.batch

    def inputs(self) -> Iterator[torch.Tensor]:
        """Batch after batch as networks take them, float32[batch, 3, side, side] on the device."""
        for pixels in torch.from_numpy(self.pixels).split(self.batch):
            yield self.images.normalise(pixels)

    @property
    def digest(self) -> str:
        """SHA-256 of all that networks see of the images, and of their batches."""
        shown = [*self.images.settings.mean, *self.images.settings.std, self.batch, *self.pixels.shape]
        return hashlib.sha256(repr(shown).encode() + self.pixels.tobytes()).hexdigest()


def draw(images: Images, given: ProbeSettings, seed: int, dataset: str) -> Probe:
    """Images at random from a split, in whole batches; more images of one seed go on from fewer.

    Raises:
        DataError: fewer images than two batches.
    """
    positions = drawn(images.examples, given, seed)
    if len(positions) < 2 * given.batch:
        raise DataError(
            f"data set {dataset}: {len(images)} val images are less than two batches of {given.batch}, in "
            "which networks are compared on it; lower dynamics.probe.batch, or give it more"
        )
    return Probe(images, positions, images.bytes_of(positions), given.batch)


def drawn(examples: Examples, given: ProbeSettings, seed: int) -> np.ndarray:
    """int64[n], the positions of the probe's images, in its order."""
    order = rng_for(seed, "dynamics", "probe").permutation(len(examples))
    count = min(given.images, len(examples))
    return order[: count // given.batch * given.batch]
