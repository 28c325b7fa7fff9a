"""The strips of units that are shown, as arrays."""

from dataclasses import dataclass

import numpy as np

from transferlens.dynamics.units import strips, tracking
from transferlens.dynamics.units.choice import Shown
from transferlens.dynamics.units.fields import Fields
from transferlens.dynamics.units.tracking import Peaks


@dataclass(frozen=True)
class UnitStrips:
    """Of one unit, over T steps.

    Attributes:
        scale: of the colours of all its activation tiles.
        peak: float32[STRIPS, T], the largest value of each of its maps.
        activation: uint8[STRIPS, T, TILE, TILE, 3].
        skipped: why it has no strip of fields; empty where it has.
        averaged: int64[T], images whose fields are averaged.
        field: uint8[T, TILE, TILE, 3].
    """

    scale: strips.Scale
    peak: np.ndarray
    activation: np.ndarray
    skipped: str
    averaged: np.ndarray
    field: np.ndarray


@dataclass(frozen=True)
class Looks:
    """How a unit's fields are averaged.

    Attributes:
        fields: of its layer.
        most: images that move it most.
        smallest_side: of a crop; with a smaller one a unit has no strip of fields.
    """

    fields: Fields
    most: int
    smallest_side: int


def strips_of(
    unit: Shown, maps: np.ndarray, pixels: np.ndarray, looks: Looks, found: list[Peaks]
) -> UnitStrips:
    """All strips of a unit.

    Args:
        maps: float32[T, STRIPS, h, w], of its images.
        pixels: uint8[n, side, side, 3], the report images.
        found: by step, of these images.
    """
    scale = strips.scale_of(maps)
    shown = zip(pixels[unit.images], maps.swapaxes(0, 1), strict=True)
    activation = [strips.activation_tiles(image, values, scale) for image, values in shown]
    skipped, averaged, tiles = _fields(unit.number, pixels, looks, found)
    return UnitStrips(scale, maps.max((2, 3)).T, np.stack(activation), skipped, averaged, tiles)


def _fields(
    unit: int, pixels: np.ndarray, looks: Looks, found: list[Peaks]
) -> tuple[str, np.ndarray, np.ndarray]:
    """Why there is no strip of fields, the images of each of its tiles, and the tiles."""
    images = [np.flatnonzero(tracking.strongest(peaks, looks.most)[:, unit]) for peaks in found]
    boxes = [looks.fields.boxes(peaks.cell[of, unit]) for peaks, of in zip(found, images, strict=True)]
    averaged = np.array([len(of) for of in images])
    size = strips.smallest_crop(np.concatenate(boxes)) if averaged.any() else (0, 0)
    skipped = _why_skipped(size, looks.smallest_side)
    means = [
        strips.field_average(pixels[of], box, peaks.value[of, unit], size)
        if len(of) and not skipped
        else None
        for peaks, of, box in zip(found, images, boxes, strict=True)
    ]
    return skipped, averaged, np.stack([strips.field_tile(mean) for mean in means])


def _why_skipped(size: tuple[int, int], smallest_side: int) -> str:
    """Why there is no strip of fields whose smallest crop has this size; empty where there is one."""
    if size == (0, 0):
        return "no image moves the unit"
    if min(size) < smallest_side:
        return f"its smallest field is {min(size)} pixels a side, below {smallest_side}"
    return ""
