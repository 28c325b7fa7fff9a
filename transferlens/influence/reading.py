"""Influences as other rooms use them."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import artefacts
from transferlens.data.artefacts import HALVES, positions
from transferlens.influence.artefacts import INFLUENCE


@dataclass(frozen=True)
class ExampleInfluence:
    """Influences on one output of every example.

    Attributes:
        effect, se: float32[examples, units].
        df: degrees of freedom of the effects' intervals.
        overall: float32[halves, units], on the mean output of a half.
        example_halves: int64[examples], 0 select, 1 report.
    """

    effect: np.ndarray
    se: np.ndarray
    df: float
    overall: np.ndarray
    example_ids: list[str]
    example_halves: np.ndarray
    unit_names: list[str]
    target_class_names: list[str]


def read_influence(path: Path, output: str) -> ExampleInfluence:
    """Read the influences on one output."""
    with artefacts.open(path, INFLUENCE) as file:
        return ExampleInfluence(
            file[f"{output}/effect"][:],
            file[f"{output}/effect_se"][:],
            float(file[f"{output}/df"][()]),
            file[f"{output}/overall_effect"][:],
            artefacts.names(file["example"]),
            positions(artefacts.names(file["example_half"]), HALVES),
            artefacts.names(file["source_class"]),
            artefacts.names(file["target_class"]),
        )
