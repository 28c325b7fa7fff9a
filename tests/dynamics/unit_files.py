"""Units with planted numbers, as the step that looks at them stores them."""

import numpy as np

from transferlens.core import artefacts
from transferlens.dynamics.units.artefacts import UNITS

TILE, CHANNELS, STRIPS = 24, 8, 2
SHOWN = ((2, "drifts most"), (5, "drawn at random"))


def write(folder, layers, steps, target="pets", recipe="full"):
    """Write units.h5 of layers below a results folder, and return its path."""
    path = folder / UNITS.path.format(target=target, recipe=recipe)
    path.parent.mkdir(parents=True, exist_ok=True)
    units, shown, tiles = CHANNELS * len(layers), len(SHOWN) * len(layers), (TILE, TILE, 3)
    falling = np.repeat(np.linspace(1, 0.4, len(steps))[:, None], units, 1)
    rng = np.random.default_rng(0)
    with artefacts.create(path, UNITS) as out:
        for name, values in {
            "step": steps,
            "layer": layers,
            "field_size": np.full((len(layers), 2), 7),
            "mixed_by": [""] * len(layers),
            "displacement_chance": np.full((len(steps), len(layers)), 9.0),
            "channel_layer": np.repeat(np.arange(len(layers)), CHANNELS),
            "channel_number": np.tile(np.arange(CHANNELS), len(layers)),
            "dead": np.zeros((len(steps), units)),
            "drift": 1 - falling,
            "jaccard": falling,
            "displacement": 20 * (1 - falling),
            "same_unit": np.ones((len(steps), units)),
            "filter_metric": ["cka", "procrustes", "ssim"],
            "comparison": ["same", "other image", "other unit"],
            "filter_unit": np.repeat(falling[..., None], 3, 2),
            "shown_layer": np.repeat(np.arange(len(layers)), len(SHOWN)),
            "shown_number": [number for number, _ in SHOWN] * len(layers),
            "shown_why": [why for _, why in SHOWN] * len(layers),
            "scale_low": np.zeros(shown),
            "scale_high": np.ones(shown),
            "activation_example": np.full((shown, STRIPS), "cat/1.png"),
            "activation_peak": np.ones((shown, STRIPS, len(steps))),
            "activation_tile": rng.integers(0, 255, (shown, STRIPS, len(steps), *tiles)),
            "field_skipped": [""] * shown,
            "field_images": np.full((shown, len(steps)), 9),
            "field_tile": rng.integers(0, 255, (shown, len(steps), *tiles)),
        }.items():
            out.write(name, values)
        for end in ("", "_low", "_high"):
            out.write(f"filter{end}", np.full((len(steps), len(layers), 3, 3), 0.5))
        for name, value in {
            "report_images": 64,
            "select_images": 64,
            "filter_images": 16,
            "jaccard_chance": 0.08,
            "top": 9,
            "without_cells": ["backbone"],
            "no_intervals": "a unit is one of one model",
        }.items():
            out.attribute(name, value)
    return path
