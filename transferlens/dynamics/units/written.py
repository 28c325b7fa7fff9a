"""Writing what is told of units."""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from transferlens.core import artefacts
from transferlens.core.statistics import Interval
from transferlens.dynamics.similarity import neighbours
from transferlens.dynamics.units import tracking
from transferlens.dynamics.units.choice import STRIPS, Shown
from transferlens.dynamics.units.filtered import COMPARISONS, METRICS, Filtered
from transferlens.dynamics.units.probes import Probe
from transferlens.dynamics.units.shown import UnitStrips
from transferlens.dynamics.units.tracking import Peaks

if TYPE_CHECKING:
    from transferlens.dynamics.units.passes import Asked, Followed

NO_INTERVALS = (
    "a unit is one of one model, and no other model has it; its numbers describe it on these images alone"
)


def write_identity(out: artefacts.Writer, followed: "Followed", probe: Probe, asked: "Asked") -> None:
    """Steps, layers, their fields, and what the file as a whole is about."""
    fields = [followed.fields[layer] for layer in followed.layers]
    out.write("step", followed.steps)
    out.write("layer", followed.layers)
    out.write("field_size", [of.size for of in fields])
    out.write("mixed_by", [", ".join(of.mixed_by) for of in fields])
    out.attribute("report_images", int(probe.report.sum()))
    out.attribute("select_images", int((~probe.report).sum()))
    out.attribute("top", asked.top)
    out.attribute("without_cells", [layer for layer in asked.layers if layer not in followed.layers])
    out.attribute("no_intervals", NO_INTERVALS)


# What is told of all units


def write_told(out: artefacts.Writer, followed: "Followed", probe: Probe, top: int) -> None:
    """What becomes of every unit, on the report images."""
    side, chance, told = probe.images.shape[2:], [], []
    for layer in followed.layers:
        found = [peaks.of(probe.report) for peaks in followed.peaks[layer]]
        height, width = followed.cells[layer]
        pixels = (side[0] / height, side[1] / width)
        told.append(told_of(found, top, pixels))
        chance.append([_mean(tracking.displacement_by_chance(found[0], now, pixels)) for now in found])
    sizes = [len(of["dead"][0]) for of in told]
    out.write("channel_layer", np.repeat(np.arange(len(sizes)), sizes))
    out.write("channel_number", np.concatenate([np.arange(size) for size in sizes]))
    for name in told[0]:
        out.write(name, np.concatenate([of[name] for of in told], axis=1))
    out.write("displacement_chance", np.transpose(chance))
    images = int(probe.report.sum())
    # An image has its neighbours among the others; a unit's top images are among all.
    out.attribute("jaccard_chance", neighbours.jaccard_chance(images + 1, min(top, images)))


def told_of(found: Sequence[Peaks], top: int, pixels: tuple[float, float]) -> dict[str, np.ndarray]:
    """What becomes of the units of a layer, each [T, C], by the name of the array.

    Args:
        found: by step, of the same images.
        top: images that move a unit most.
        pixels: of the image, height and width of a cell.
    """
    first = found[0]
    sets = [tracking.strongest(now, top) for now in found]
    measures: dict[str, Callable[[Peaks], np.ndarray]] = {
        "dead": tracking.dead,
        "drift": lambda now: tracking.drift(first, now),
        "displacement": lambda now: tracking.displacement(first, now, pixels),
        "same_unit": lambda now: tracking.same_unit(first, now),
    }
    told = {name: np.stack([measure(now) for now in found]) for name, measure in measures.items()}
    return {**told, "jaccard": np.stack([tracking.jaccard(sets[0], now) for now in sets])}


def _mean(values: np.ndarray) -> float:
    """Over what is not NaN, if anything."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan


# Similarities of filters


def write_filters(out: artefacts.Writer, layers: Sequence[Sequence[Filtered]], images: int) -> None:
    """Similarities of maps, of each layer by step."""
    out.write("filter_metric", METRICS)
    out.write("comparison", COMPARISONS)
    units = [np.stack([step.unit.T for step in layer]) for layer in layers]
    out.write("filter_unit", np.concatenate(units, axis=1))
    ends = [
        np.stack([[getattr(step.layer, end) for step in layer] for layer in layers], axis=1)
        for end in ("value", "low", "high")
    ]
    out.write_interval("filter", Interval(*ends))
    out.attribute("filter_images", images)


# Strips


def write_shown(
    out: artefacts.Writer, ids: np.ndarray, layers: Sequence[Sequence[Shown]], made: Sequence[UnitStrips]
) -> None:
    """The units that are shown, and their strips.

    Args:
        ids: of the report images.
        layers: the shown units of each layer.
        made: their strips, layer after layer.
    """
    units = [unit for layer in layers for unit in layer]
    out.write("shown_layer", np.repeat(np.arange(len(layers)), [len(layer) for layer in layers]))
    out.write("shown_number", [unit.number for unit in units])
    out.write("shown_why", [unit.why for unit in units])
    images = np.array([unit.images for unit in units], np.int64).reshape(-1, STRIPS)
    out.write("activation_example", ids[images])
    out.write("scale_low", [of.scale.low for of in made])
    out.write("scale_high", [of.scale.high for of in made])
    out.write("activation_peak", [of.peak for of in made])
    out.write("activation_tile", [of.activation for of in made])
    out.write("field_skipped", [of.skipped for of in made])
    out.write("field_images", [of.averaged for of in made])
    out.write("field_tile", [of.field for of in made])
