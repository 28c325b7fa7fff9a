"""Composites as pixels: images pasted on others, and backgrounds without their objects."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import torch
from PIL import Image

from transferlens.core.seeding import rng_for
from transferlens.data.pipeline import Images

_BLOCKS = 4  # along either side of a scrambled background


class Placed(Protocol):
    """Composites by the images they are made of; all int64[composites].

    Attributes:
        background, overlay: positions in the evaluation splits of source and target.
        x, y, side: the pasted square in pixels of the network input; all have one side.
    """

    background: np.ndarray
    overlay: np.ndarray
    x: np.ndarray
    y: np.ndarray
    side: np.ndarray


def shrink(images: np.ndarray, side: int) -> np.ndarray:
    """Images uint8[n, height, width, 3] as squares of `side` pixels, bilinear with antialiasing."""
    small = [Image.fromarray(image).resize((side, side), Image.Resampling.BILINEAR) for image in images]
    return np.stack([np.asarray(image) for image in small])


def paste(backgrounds: np.ndarray, small: np.ndarray, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squares uint8[n, side, side, 3] at (x, y) of uint8[n, height, width, 3]: opaque, with hard edges."""
    made, side = np.array(backgrounds), small.shape[1]
    for i, (left, top) in enumerate(zip(x, y, strict=True)):
        made[i, top : top + side, left : left + side] = small[i]
    return made


def control_backgrounds(
    images: np.ndarray, positions: np.ndarray, control: str, scramble: str, seed: int
) -> np.ndarray:
    """Backgrounds uint8[n, height, width, 3] as a control wants them; a broadcast view where it can.

    * `object`: as they are;
    * `scrambled`: without their object, with their low-level statistics (`scramble`: `blocks` or `phase`);
    * `canvas`: each one's mean colour.

    Args:
        positions: int64[n], in the source's val split; they decide how a background is scrambled.
    """
    if control == "object":
        return images
    if control == "canvas":
        colours = np.rint(images.mean((1, 2), keepdims=True)).astype(np.uint8)
        return np.broadcast_to(colours, images.shape)
    function = {"blocks": shuffle_blocks, "phase": randomise_phases}[scramble]
    rngs = (rng_for(seed, "scramble", int(position)) for position in positions)
    return np.stack([function(image, rng) for image, rng in zip(images, rngs, strict=True)])


def shuffle_blocks(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A grid of 4 x 4 blocks in an order in which none stays; pixels beyond whole blocks stay."""
    count = _BLOCKS**2
    order = rng.permutation(count)
    while (order == np.arange(count)).any():
        order = rng.permutation(count)
    height, width = (side // _BLOCKS for side in image.shape[:2])
    made = image.copy()
    for place, origin in enumerate(order):
        (row, column), (from_row, from_column) = divmod(place, _BLOCKS), divmod(int(origin), _BLOCKS)
        made[row * height : (row + 1) * height, column * width : (column + 1) * width] = image[
            from_row * height : (from_row + 1) * height, from_column * width : (from_column + 1) * width
        ]
    return made


def randomise_phases(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The amplitudes of the image's Fourier components with random phases, the same in all channels."""
    phases = np.angle(np.fft.rfft2(rng.normal(size=image.shape[:2])))
    phases[0, 0] = 0  # the mean stays
    spectrum = np.fft.rfft2(image.astype(np.float64), axes=(0, 1)) * np.exp(1j * phases)[..., None]
    return np.rint(np.fft.irfft2(spectrum, image.shape[:2], axes=(0, 1))).clip(0, 255).astype(np.uint8)


class Composed:
    """Makes batches of composites, and of the target images they are made of.

    Images lie here as bytes: each one once, backgrounds once with each control.

    Args:
        source, target: evaluation images.
        controls, scramble, seed: as of `control_backgrounds`.
    """

    def __init__(
        self,
        table: Placed,
        source: Images,
        target: Images,
        controls: Sequence[str],
        scramble: str,
        seed: int,
    ):
        self.table, self.target = table, target
        positions, self.background_of = np.unique(table.background, return_inverse=True)
        overlays, self.overlay_of = np.unique(table.overlay, return_inverse=True)
        whole = source.bytes_of(positions)
        self.backgrounds = {
            control: control_backgrounds(whole, positions, control, scramble, seed) for control in controls
        }
        self.overlays = target.bytes_of(overlays)
        self.small = shrink(self.overlays, int(table.side[0]))

    def composite(self, rows: np.ndarray, control: str) -> torch.Tensor:
        """Composites of some rows, as the networks take them: float32[rows, 3, resolution, resolution]."""
        backgrounds = self.backgrounds[control][self.background_of[rows]]
        small = self.small[self.overlay_of[rows]]
        return self._as_input(paste(backgrounds, small, self.table.x[rows], self.table.y[rows]))

    def overlay(self, rows: np.ndarray) -> torch.Tensor:
        """Target images by number, as the networks take them."""
        return self._as_input(self.overlays[rows])

    def _as_input(self, pixels: np.ndarray) -> torch.Tensor:
        return self.target.normalise(torch.from_numpy(pixels))
