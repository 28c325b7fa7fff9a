"""What moves single units of a layer, in one network and from one network to the next.

A unit is a channel of a layer whose output has cells; its map of an image is what it says in each of them. Of
a map only its peak is kept: its largest value and where that is, beside its mean and its least value. Two
networks are compared on the same images, and units by their place in the layer, which `same_unit` puts to the
test.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
import torch


@dataclass(frozen=True)
class Peaks:
    """Of the maps of units of a layer, of some images.

    Attributes:
        value: float32[n, C], the largest value of each map.
        cell: int16[n, C, 2], its row and column; -1 where all cells have the same.
        mean: float32[n, C], over the cells.
        least: float32[n, C], the smallest value.
    """

    value: np.ndarray
    cell: np.ndarray
    mean: np.ndarray
    least: np.ndarray

    def of(self, images: np.ndarray) -> "Peaks":
        """Of a part of the images, by position or as a mask [n]."""
        return Peaks(*(values[images] for values in astuple(self)))


def peaks(maps: torch.Tensor) -> Peaks:
    """The peaks of maps [n, C, h, w]; the first cell of those with the largest value."""
    cells = maps.detach().float().flatten(2)
    value, place = cells.max(2)
    least = cells.amin(2)
    cell = torch.stack([place // maps.shape[3], place % maps.shape[3]], dim=2)
    cell[value == least] = -1
    arrays = (value, cell.short(), cells.mean(2), least)
    return Peaks(*(array.cpu().numpy() for array in arrays))


def joined(parts: Sequence[Peaks]) -> Peaks:
    """Those of all images of parts, in order."""
    return Peaks(*(np.concatenate(arrays) for arrays in zip(*map(astuple, parts), strict=True)))


def dead(found: Peaks) -> np.ndarray:
    """Units that have one value in all cells of all images, bool[C]: of a ReLU, those never above 0."""
    return found.value.max(0) == found.least.min(0)


def strongest(found: Peaks, most: int) -> np.ndarray:
    """The images that move each unit most, bool[n, C]: at most so many, none without a peak."""
    order = np.argsort(-found.value, axis=0, kind="stable")
    among = np.zeros(found.value.shape, bool)
    np.put_along_axis(among, order[:most], True, axis=0)
    return among & (found.cell[..., 0] >= 0)


def jaccard(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Overlap over union of two sets of images of each unit, float64[C]; NaN where both are empty.

    Args:
        first, second: bool[n, C], as `strongest` gives them.
    """
    union = (first | second).sum(0)
    return np.divide((first & second).sum(0), union, out=np.full(len(union), np.nan), where=union > 0)


def displacement(first: Peaks, second: Peaks, pixels: tuple[float, float]) -> np.ndarray:
    """How far apart the peaks of each unit lie in two networks, mean over images, float64[C], in pixels.

    NaN for a unit without an image in which both have a peak.

    Args:
        pixels: of the image, height and width of a cell.
    """
    away = (second.cell - first.cell.astype(np.float64)) * pixels
    distance = np.hypot(away[..., 0], away[..., 1])
    return _mean(distance, (first.cell[..., 0] >= 0) & (second.cell[..., 0] >= 0))


def displacement_by_chance(first: Peaks, second: Peaks, pixels: tuple[float, float]) -> np.ndarray:
    """The same float64[C] of peaks in two different images.

    They are half the set apart: where it lies class by class, they are mostly of two classes.
    """
    images = np.arange(len(first.value))
    return displacement(first.of(np.roll(images, len(images) // 2)), second, pixels)


def _mean(values: np.ndarray, counted: np.ndarray) -> np.ndarray:
    """Means [C] over those of values [n, C] that count; NaN where none does."""
    number = counted.sum(0)
    total = np.where(counted, values, 0).sum(0)
    return np.divide(total, number, out=np.full(len(number), np.nan), where=number > 0)


def drift(first: Peaks, second: Peaks) -> np.ndarray:
    """1 minus the correlation over images of each unit's mean over the cells, float64[C], 0 to 2.

    NaN where the unit says the same of all images in either network.
    """
    # Half the squared distance of standardised values is the same, and exactly 0 of equal ones.
    return np.square(_standardised(first.mean) - _standardised(second.mean)).sum(0) / 2


def same_unit(first: Peaks, second: Peaks) -> np.ndarray:
    """Whether each unit of the first network correlates most with itself, of all units of the second.

    float64[C], 0 or 1; NaN where it says the same of all images in either network.
    """
    one, other = _standardised(first.mean), _standardised(second.mean)
    correlations = one.T @ other
    itself = np.diagonal(correlations)
    best = np.nanmax(np.where(np.isnan(correlations), -np.inf, correlations), axis=1)
    return np.where(np.isnan(itself), np.nan, itself >= best - 1e-9)


def _standardised(values: np.ndarray) -> np.ndarray:
    """Columns of values [n, C] centred and of length 1; NaN where one is constant."""
    centred = values.astype(np.float64) - values.mean(0, dtype=np.float64)
    length = np.linalg.norm(centred, axis=0)
    constant = values.max(0) == values.min(0)
    return centred / np.where(constant, np.nan, length)
