"""What single units do while a model is adapted: two passes over the networks that were kept, and their file.

The first pass finds the peaks of all units, by which shown ones are chosen; the second makes their maps, and
compares maps filter by filter. Of a set of images only peaks are held, of all maps those of a few.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from transferlens.core import artefacts
from transferlens.core.seeding import rng_for
from transferlens.dynamics.units import choice, filtered, probes, shown, tracing, watching, written
from transferlens.dynamics.units.artefacts import UNITS
from transferlens.dynamics.units.choice import Shown
from transferlens.dynamics.units.fields import Fields
from transferlens.dynamics.units.filtered import Filtered
from transferlens.dynamics.units.probes import Probe
from transferlens.dynamics.units.shown import Looks, UnitStrips
from transferlens.dynamics.units.tracking import Peaks
from transferlens.training.networks import Moment

FILTER_IMAGES = 16


@dataclass(frozen=True)
class Asked:
    """What is asked of units.

    Attributes:
        layers: their paths in the network.
        shown: units of a layer that drift most, and as many at random.
        top: images that move a unit most.
        smallest_side: of the crops of a strip of fields, in pixels.
        seed: draws the units at random.
    """

    layers: list[str]
    shown: int
    top: int
    smallest_side: int
    seed: int


@dataclass(frozen=True)
class Followed:
    """The first pass.

    Attributes:
        steps: of the networks.
        layers: those whose outputs have cells, in depth order.
        cells: (height, width) of their maps.
        fields: of their cells.
        peaks: by layer, and by step; of all probe images.
    """

    steps: list[int]
    layers: list[str]
    cells: dict[str, tuple[int, int]]
    fields: dict[str, Fields]
    peaks: dict[str, list[Peaks]]


def write_units(path: Path, networks: Callable[[], Iterator[Moment]], probe: Probe, asked: Asked) -> None:
    """Follow the units of one model and write what is told of them.

    Args:
        networks: begins a pass over the networks that were kept of it.

    Raises:
        ConfigError: no layer's output holds a grid of cells.
    """
    followed = follow(networks(), asked.layers, probe.images)
    units = {
        layer: list(choice.choose(peaks, probe.report, asked.shown, rng_for(asked.seed, "units", layer)))
        for layer, peaks in followed.peaks.items()
    }
    second = look_again(networks(), units, probe, asked.seed)
    with artefacts.create(path, UNITS) as out:
        written.write_identity(out, followed, probe, asked)
        written.write_told(out, followed, probe, asked.top)
        written.write_filters(out, list(second.filters.values()), second.compared)
        ids = np.array(probe.ids, dtype=object)[probe.report]
        written.write_shown(
            out, ids, list(units.values()), strips_of_all(followed, units, second, probe, asked)
        )


def strips_of_all(
    followed: "Followed", units: Mapping[str, list[Shown]], second: "Second", probe: Probe, asked: Asked
) -> list[UnitStrips]:
    """Of all shown units, layer after layer."""
    pixels, made = probe.pixels[probe.report], []
    for layer, of in units.items():
        looks = Looks(followed.fields[layer], asked.top, asked.smallest_side)
        found = [peaks.of(probe.report) for peaks in followed.peaks[layer]]
        for place, unit in enumerate(of):
            made.append(shown.strips_of(unit, second.maps[layer][:, place], pixels, looks, found))
    return made


def follow(networks: Iterator[Moment], layers: list[str], images: torch.Tensor) -> Followed:
    """The peaks of all units of layers whose outputs have cells, in every network.

    Raises:
        ConfigError: no layer's output has.
    """
    steps: list[int] = []
    peaks: dict[str, list[Peaks]] = {}
    for moment in networks:
        if not steps:
            cells = watching.cells_of(moment.network, layers, images)
            fields = tracing.trace(moment.network, list(cells), tuple(images.shape[2:]))
            peaks = {layer: [] for layer in cells}
        steps.append(moment.step)
        for layer, found in watching.peaks_of(moment.network, list(cells), images).items():
            peaks[layer].append(found)
    return Followed(steps, list(cells), cells, fields, peaks)


@dataclass(frozen=True)
class Second:
    """The second pass, by layer.

    Attributes:
        maps: float32[T, shown, STRIPS, h, w], of the shown units and their images.
        filters: by step.
        compared: images whose maps these are of.
    """

    maps: dict[str, np.ndarray]
    filters: dict[str, list[Filtered]]
    compared: int


def look_again(
    networks: Iterator[Moment], units: Mapping[str, list[Shown]], probe: Probe, seed: int
) -> Second:
    """The maps of shown units, and what all units' maps of a few images have in common with the first."""
    report, labels = probe.images[torch.from_numpy(probe.report)], probe.labels[probe.report]
    compared = probes.compared(labels, FILTER_IMAGES)
    maps: dict[str, list[np.ndarray]] = {layer: [] for layer in units}
    filters: dict[str, list[Filtered]] = {layer: [] for layer in units}
    first: dict[str, torch.Tensor] = {}
    for moment in networks:
        for layer, values in watching.maps_of_units(moment.network, units, report).items():
            maps[layer].append(values)
        now = watching.small_maps(moment.network, list(units), report[torch.from_numpy(compared)])
        first = first or now
        for layer in units:
            rng = rng_for(seed, "other unit", layer)
            filters[layer].append(filtered.compare(first[layer], now[layer], labels[compared], rng))
    stacked = {layer: np.stack(values) for layer, values in maps.items()}
    return Second(stacked, filters, len(compared))
