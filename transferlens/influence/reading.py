"""Influences as other rooms use them."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.data.artefacts import HALVES, positions
from transferlens.estimation.estimators import Effects
from transferlens.influence.artefacts import INFLUENCE


@dataclass(frozen=True)
class ExampleInfluence:
    """Influences on one output of every example.

    Attributes:
        effect, se: float32[examples, units].
        df: degrees of freedom of the effects' intervals.
        by_fold: the same from the models of each fold; empty without folds.
        folds_missing: why there are none; '' where there are.
        overall: float32[halves, units], on the mean output of a half.
        example_halves: int64[examples], 0 select, 1 report.
    """

    effect: np.ndarray
    se: np.ndarray
    df: float
    by_fold: list[Effects]
    folds_missing: str
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
            _by_fold(file, output),
            file.attrs["folds_missing"],
            file[f"{output}/overall_effect"][:],
            artefacts.names(file["example"]),
            positions(artefacts.names(file["example_half"]), HALVES),
            artefacts.names(file["source_class"]),
            artefacts.names(file["target_class"]),
        )


def _by_fold(file: h5py.File, output: str) -> list[Effects]:
    """The effects on every example, and their errors, of each fold."""
    if file.attrs["folds_missing"]:
        return []
    names = (f"{output}/effect_by_fold", f"{output}/effect_by_fold_se", f"{output}/fold_df")
    return [Effects(*parts) for parts in zip(*(file[name][:] for name in names), strict=True)]
