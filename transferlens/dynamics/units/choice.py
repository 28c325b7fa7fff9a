"""Which units are shown, and in which images.

Units: those that drift most, and as many drawn at random beside them. They are chosen by the select half of
the images and shown on the report half: a unit that drifts most by chance does so on the former.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transferlens.dynamics.units import tracking
from transferlens.dynamics.units.tracking import Peaks

DRIFT, RANDOM = "drifts most", "drawn at random"
STRIPS = 2  # images of a unit's activation strips


@dataclass(frozen=True)
class Shown:
    """A unit that is shown.

    Attributes:
        number: its place in the layer.
        why: DRIFT or RANDOM.
        images: int64[STRIPS], positions of the report images of its activation strips.
    """

    number: int
    why: str
    images: np.ndarray


def choose(found: list[Peaks], report: np.ndarray, most: int, rng: np.random.Generator) -> Iterator[Shown]:
    """The units of a layer that are shown.

    Args:
        found: by step.
        report: bool[n], which images tell; the others choose.
        most: units for each reason.
    """
    first, last = found[0], found[-1]
    drifts = tracking.drift(first.of(~report), last.of(~report))
    for why, units in chosen(drifts, most, rng).items():
        for unit in units:
            values = [peaks.value[report, unit] for peaks in (first, last)]
            yield Shown(int(unit), why, telling(*values))


def chosen(drifts: np.ndarray, most: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Units by why they are chosen, at most so many for each reason; none twice.

    Args:
        drifts: float64[C], NaN for units that are dead in either network, of which none is chosen.
    """
    alive = np.flatnonzero(~np.isnan(drifts))
    ranked = alive[np.argsort(-drifts[alive], kind="stable")]
    others = np.sort(ranked[most:])
    return {DRIFT: ranked[:most], RANDOM: np.sort(rng.permutation(others)[:most])}


def telling(first: np.ndarray, last: np.ndarray) -> np.ndarray:
    """The image that moves a unit most before the first step, and of the others that at the end, int64[2].

    Args:
        first, last: float[n], the unit's peak in each image.
    """
    before = int(first.argmax())
    order = np.argsort(-last, kind="stable")
    return np.array([before, int(order[order != before][0])])
