"""The table of units: what becomes of those of each layer, step by step."""

from pathlib import Path

import numpy as np
import pandas as pd

from transferlens.core import artefacts
from transferlens.dynamics.units.artefacts import UNITS

_MEANS = ("dead", "drift", "jaccard", "displacement", "same_unit")


def table(path: Path) -> pd.DataFrame:
    """One row for every layer and step: means over the units that have a value."""
    with artefacts.open(path, UNITS) as file:
        layers, steps, of = artefacts.names(file["layer"]), file["step"][:], file["channel_layer"][:]
        columns = {
            name: [_means(file[name][:], of == place) for place in range(len(layers))] for name in _MEANS
        }
        columns["displacement_chance"] = list(file["displacement_chance"][:].T)
        comparisons, metrics = artefacts.names(file["comparison"]), artefacts.names(file["filter_metric"])
        similar = file["filter"][:]
    for place, comparison in enumerate(comparisons):
        for number, metric in enumerate(metrics):
            name = f"{metric}_{comparison.replace(' ', '_')}"
            columns[name] = list(similar[:, :, place, number].T)
    made = {"layer": np.repeat(np.array(layers, object), len(steps)), "step": np.tile(steps, len(layers))}
    return pd.DataFrame(made | {name: np.concatenate(values) for name, values in columns.items()})


def _means(values: np.ndarray, units: np.ndarray) -> np.ndarray:
    """Means [T] over units, of values [T, channel] that are not NaN."""
    return pd.DataFrame(values[:, units].T).mean().to_numpy()
