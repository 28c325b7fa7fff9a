"""Corruptions of images: eight of those of ImageNet-C (Hendrycks & Dietterich 2019), with its constants.

They work on the network's input, pixels in [0, 1] before normalisation, and give pixels in [0, 1]. Noise is
drawn by the image's id, the corruption and its severity alone: it is the same whatever other images are
beside it, in every run, and for all models. The constants were released for images of 224 px. On smaller
inputs the same blur radius and the same JPEG quality take more of an image, so that corruption is more
severe: accuracies at different resolutions are not comparable.

    gaussian_noise  x + e,  e normal with the deviation c
    shot_noise      Poisson(c x) / c
    impulse_noise   every value of a pixel is replaced with probability c, by 0 or 1 with 1/2 each
    defocus_blur    x convolved with a disc of radius c pixels, its edge smoothed by a Gaussian
    contrast        m + c (x - m),  m the mean of a channel over the image
    brightness      HSV value + c
    pixelate        as the mean over blocks on a side of c times as many pixels
    jpeg            encoded with quality c

Differences from what was released: values are not rounded to bytes and not stored as JPEG afterwards (but
`pixelate` and `jpeg` begin with bytes), the Gaussian that smooths the disc is not cut off at its next pixel,
and the kernel's sum is exactly one.
"""

import io
from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from PIL import Image
from scipy import ndimage
from torch.nn import functional

from transferlens.core.seeding import rng_for

# Of severities 1 to 5; of a blur (radius, deviation of the Gaussian), in pixels of the input.
CONSTANTS = {
    "gaussian_noise": (0.08, 0.12, 0.18, 0.26, 0.38),
    "shot_noise": (60, 25, 12, 5, 3),
    "impulse_noise": (0.03, 0.06, 0.09, 0.17, 0.27),
    "defocus_blur": ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)),
    "contrast": (0.4, 0.3, 0.2, 0.1, 0.05),
    "brightness": (0.1, 0.2, 0.3, 0.4, 0.5),
    "pixelate": (0.6, 0.5, 0.4, 0.3, 0.25),
    "jpeg": (25, 18, 15, 10, 7),
}


def corrupt(name: str, severity: int, pixels: np.ndarray, ids: Sequence[str]) -> np.ndarray:
    """Images corrupted: float32[n, side, side, 3] in [0, 1].

    Args:
        name: of the corruption, a key of CONSTANTS.
        severity: of 1 to 5.
        pixels: uint8[n, side, side, 3].
        ids: the images' names, which decide their noise.
    """
    constant = CONSTANTS[name][severity - 1]
    if name in _NOISES:
        generators = (rng_for("corruption", name, severity, image) for image in ids)
        images = [_NOISES[name](_floats(p), constant, g) for p, g in zip(pixels, generators, strict=True)]
        return np.stack(images).clip(0, 1).astype(np.float32)
    return _OTHERS[name](pixels, constant).clip(0, 1).astype(np.float32)


def _floats(pixels: np.ndarray) -> np.ndarray:
    return pixels.astype(np.float32) / 255


def gaussian_noise(x: np.ndarray, deviation: float, rng: np.random.Generator) -> np.ndarray:
    """Of one image float32[side, side, 3], like all noise."""
    return x + deviation * rng.standard_normal(x.shape, np.float32)


def shot_noise(x: np.ndarray, photons: float, rng: np.random.Generator) -> np.ndarray:
    """Of white, so many photons are counted on average."""
    return rng.poisson(x * photons) / photons


def impulse_noise(x: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    """Salt and pepper, channel by channel."""
    replaced, salt = rng.random(x.shape) < share, rng.random(x.shape) < 0.5
    return np.where(replaced, salt, x)


def defocus_blur(pixels: np.ndarray, constants: tuple[int, float]) -> np.ndarray:
    """Beyond the edges an image goes on as its mirror image."""
    kernel = disc(*constants)
    reach = len(kernel) // 2
    images = np.pad(
        _floats(pixels).transpose(0, 3, 1, 2), ((0, 0), (0, 0), (reach,) * 2, (reach,) * 2), "reflect"
    )
    batch = torch.from_numpy(images).flatten(0, 1)[:, None]
    blurred = functional.conv2d(batch, torch.from_numpy(kernel)[None, None])
    return blurred.view(*images.shape[:2], *blurred.shape[2:]).permute(0, 2, 3, 1).numpy()


@cache
def disc(radius: int, deviation: float) -> np.ndarray:
    """A disc of this radius smoothed by a Gaussian, of sum 1: float32[k, k], k odd."""
    reach = radius + 2  # where the Gaussian is over
    away = np.arange(-reach, reach + 1)
    inside = (away[:, None] ** 2 + away**2 <= radius**2).astype(np.float64)
    smooth = ndimage.gaussian_filter(inside, deviation, mode="constant")
    return (smooth / smooth.sum()).astype(np.float32)


def contrast(pixels: np.ndarray, factor: float) -> np.ndarray:
    """Less contrast about the mean of each channel."""
    x = _floats(pixels)
    mean = x.mean((1, 2), keepdims=True)
    return mean + factor * (x - mean)


def brightness(pixels: np.ndarray, more: float) -> np.ndarray:
    """A higher HSV value (the largest channel), at most 1: hue and saturation stay, and black is grey."""
    x = _floats(pixels)
    value = x.max(-1, keepdims=True)
    brighter = np.minimum(value + more, 1)
    return np.where(value > 0, x * brighter / np.where(value > 0, value, 1), brighter)


def pixelate(pixels: np.ndarray, share: float) -> np.ndarray:
    """Shrunk to this share of the side, and enlarged again, by means over boxes."""
    side = pixels.shape[1]
    small = max(1, int(side * share))
    return _by_pillow(
        pixels, lambda image: image.resize((small, small), Image.BOX).resize((side, side), Image.BOX)
    )


def jpeg(pixels: np.ndarray, quality: int) -> np.ndarray:
    """Encoded as JPEG, and decoded."""

    def coded(image: Image.Image) -> Image.Image:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=quality)
        return Image.open(file)

    return _by_pillow(pixels, coded)


def _by_pillow(pixels: np.ndarray, change: Callable[[Image.Image], Image.Image]) -> np.ndarray:
    return _floats(np.stack([np.asarray(change(Image.fromarray(image))) for image in pixels]))


_NOISES = {"gaussian_noise": gaussian_noise, "shot_noise": shot_noise, "impulse_noise": impulse_noise}
_OTHERS = {
    "defocus_blur": defocus_blur,
    "contrast": contrast,
    "brightness": brightness,
    "pixelate": pixelate,
    "jpeg": jpeg,
}
