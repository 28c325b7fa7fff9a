"""Figures show what they say, whatever the number of classes."""

import numpy as np
import xarray as xr

from transferlens.influence import figures


def test_of_many_classes_the_matrix_shows_those_with_the_largest_influences_on_the_select_half():
    effect = np.random.default_rng(0).normal(0, 0.01, (2, 90, 300))
    effect[0, 3, 7] = effect[0, 5, 250] = 1  # the select half chooses
    effect[1, 80, 200] = 1  # the report half must not
    dims = ("half", "target_class", "source_class")
    influence = xr.Dataset(
        {"class_effect": (dims, effect), "class_effect_q": (dims, np.full(effect.shape, 0.5))},
        {
            "half": ["select", "report"],
            "target_class": [f"t{i}" for i in range(90)],
            "source_class": [f"s{i}" for i in range(300)],
        },
        {"output": "margin"},
    )
    axis = figures.influence_matrix(influence).axes[0]
    rows, columns = (
        [t.get_text() for t in labels()] for labels in (axis.get_yticklabels, axis.get_xticklabels)
    )
    assert len(rows) == len(columns) == figures.MATRIX_CLASSES
    assert {"t3", "t5"} <= set(rows)
    assert {"s7", "s250"} <= set(columns)
    assert not ("t80" in rows and "s200" in columns)
