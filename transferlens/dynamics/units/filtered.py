"""The per-filter similarities of the paper, of a network and that before the first step, with their floors.

Two maps that have nothing to do with each other are far from 0 in these (see `similarity.filters`). So each
is told beside two floors: the same unit's map of another image of the class, and another unit's map of the
same image. Maps that are dead in either network have none; the share of dead units is told by itself.
"""

from dataclasses import dataclass

import numpy as np
import torch

from transferlens.core import statistics
from transferlens.core.statistics import Interval
from transferlens.dynamics.similarity import filters

METRICS = ("cka", "procrustes", "ssim")
COMPARISONS = ("same", "other image", "other unit")


@dataclass(frozen=True)
class Filtered:
    """Of a layer with C units in two networks, on some images.

    Attributes:
        unit: float64[METRICS, C], the mean over images of the same unit; NaN where one of its maps is dead in
            every image.
        layer: [COMPARISONS, METRICS], the mean over images of that over units, with its interval over images.
    """

    unit: np.ndarray
    layer: Interval


def compare(first: torch.Tensor, now: torch.Tensor, labels: np.ndarray, rng: np.random.Generator) -> Filtered:
    """Maps [n, C, h, w] of images of labels [n], class by class, before the first step and now."""
    images, units = torch.from_numpy(other_of_class(labels)), torch.from_numpy(shifted(first.shape[1], rng))
    compared = [_metrics(first, other) for other in (now, now[images], now[:, units])]
    by_image = torch.stack([values.nanmean(2) for values in compared])
    return Filtered(compared[0].nanmean(1).numpy(), _interval(by_image.numpy()))


def _metrics(first: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    """float64[METRICS, n, C]."""
    found = filters.compare_maps(first, other)
    return torch.stack([getattr(found, name) for name in METRICS]).cpu()


def _interval(by_image: np.ndarray) -> Interval:
    """Of the mean over the last axis, of those images that have a value; NaN with fewer than two."""
    parts = np.full((3, *by_image.shape[:-1]), np.nan)
    for place in np.ndindex(*by_image.shape[:-1]):
        values = by_image[place][~np.isnan(by_image[place])]
        if len(values) > 1:
            mean = statistics.mean_interval(values)
            parts[(slice(None), *place)] = mean.value, mean.low, mean.high
    return Interval(*parts)


def other_of_class(labels: np.ndarray) -> np.ndarray:
    """For each image the next one of its class, int64[n]; the next of all where it is alone."""
    other = np.roll(np.arange(len(labels)), -1)
    for label in np.unique(labels):
        (members,) = np.nonzero(labels == label)
        if len(members) > 1:
            other[members] = np.roll(members, -1)
    return other


def shifted(units: int, rng: np.random.Generator) -> np.ndarray:
    """For each unit another one, int64[units]: the next in a random order; itself only where it is alone."""
    order, other = rng.permutation(units), np.empty(units, np.int64)
    other[order] = np.roll(order, 1)
    return other
