"""What the interactive page shows of single units: their strips, and what becomes of them step by step."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from transferlens.core import labelled
from transferlens.data.artefacts import positions
from transferlens.dynamics.units.artefacts import UNITS
from transferlens.pictures.embedded import base64_text, jpeg, rounded

# Rows of a unit's table: the variable, its heading, and what it is.
_ROWS = (
    ("jaccard", "overlap of top images", "Jaccard of the images that move it most, now and at step 0"),
    ("displacement", "peak moved, pixels", "mean distance of its largest value from where it was at step 0"),
    ("drift", "drift", "1 minus the correlation over images with itself at step 0"),
    ("same_unit", "still itself", "1: no other unit correlates more with what it was at step 0"),
    ("dead", "dead", "1: it says the same of all images"),
)
_METRICS = {"cka": "CKA of its maps", "procrustes": "Procrustes of its maps", "ssim": "SSIM of its maps"}


def units(path: Path, layers: Sequence[str]) -> dict[str, Any]:
    """All shown units of UNITS, for the page's script.

    Args:
        layers: those of the page, in order; units name theirs by position.
    """
    made = labelled.read(path, UNITS)
    places = positions(made.layer.values.tolist(), list(layers))
    return {
        "kind": "jpeg",
        "about": _about(made),
        "steps": made.step.values.tolist(),
        "reasons": {
            layers.index(name): "Its output holds no grid of cells."
            for name in json.loads(made.attrs["without_cells"])
            if name in layers
        },
        "shown": [
            {**_unit(made, shown), "layer": int(places[made.shown_layer.values[shown]])}
            for shown in range(made.sizes["shown"])
        ],
    }


def _about(made: xr.Dataset) -> str:
    return (
        f"Strips of one model show one model. Its units were chosen by {made.attrs['select_images']} images "
        "of the target (those that drift most, and others at random), and are shown on "
        f"{made.attrs['report_images']} others. Two sets of top images drawn at random overlap by "
        f"{made.attrs['jaccard_chance']:.2f} on average. The numbers have no intervals: "
        f"{made.attrs['no_intervals']}."
    )


def _unit(made: xr.Dataset, shown: int) -> dict[str, Any]:
    """One unit, by its position among those that are shown."""
    one = made.isel(shown=shown)
    layer, number = int(one.shown_layer), int(one.shown_number)
    (channel,) = np.flatnonzero((made.channel_layer == layer) & (made.channel_number == number))
    return {
        "name": f"unit {number}",
        "why": str(one.shown_why.item()),
        "strips": list(_strips(one)),
        "rows": list(_rows(made.isel(channel=channel), layer)),
        "note": one.field_skipped.item() and f"It has no strip of fields: {one.field_skipped.item()}.",
    }


def _strips(one: xr.Dataset) -> Iterator[dict[str, str]]:
    """Its activation strips, and that of its fields."""
    scale = f"{float(one.scale_low):.3g} (dark) to {float(one.scale_high):.3g} (light)"
    for strip, example in enumerate(one.activation_example.values):
        yield {
            "title": f"Its map of {example}, step by step. One scale for all steps and images: {scale}.",
            "picture": _picture(one.activation_tile.values[strip]),
            "alt": f"The unit's map over image {example}, a tile a step",
        }
    if not one.field_skipped.item():
        yield {
            "title": "Receptive fields of its peaks in the images that move it most, averaged, step by step.",
            "picture": _picture(one.field_tile.values),
            "alt": "Mean of the receptive fields of the unit's peaks, a tile a step",
        }


def _picture(tiles: np.ndarray) -> str:
    """Tiles uint8[steps, height, width, 3] side by side."""
    return base64_text(jpeg(np.concatenate(list(tiles), axis=1)))


def _rows(unit: xr.Dataset, layer: int) -> Iterator[dict[str, Any]]:
    """What becomes of a unit, by step."""
    for name, heading, explanation in _ROWS:
        yield {
            "heading": heading,
            "explanation": explanation,
            "values": rounded(unit[name].values.astype(float)),
        }
        if name == "displacement":
            chance = rounded(unit.displacement_chance.isel(layer=layer).values)
            yield {"heading": "the same in two images", "explanation": "what chance gives", "values": chance}
    for metric in unit.filter_metric.values:
        values = rounded(unit.filter_unit.sel(filter_metric=metric).values)
        explanation = "with its maps at step 0, mean over images; independent maps are far from 0, too"
        yield {"heading": _METRICS.get(metric, str(metric)), "explanation": explanation, "values": values}
