"""The drifts of a study's models, from the files of its shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import artefacts, studies
from transferlens.core.errors import ArtefactError
from transferlens.core.studies import Rows
from transferlens.dynamics.drift.artefacts import DRIFTS

# What a file holds of every model, and the axis of the steps.
_OF_MODELS = {"drift": 3, "retention": 2, "class_retention": 2, "accuracy": 1, "margin": 1}


@dataclass(frozen=True)
class Axes:
    """What the models of a study were looked at on; the same for all that are compared.

    Attributes:
        steps: optimiser steps taken by the moments after the start that models reached.
        metric: what accuracy is.
        fewest_images: that a class needed for a retention of its own.
    """

    domains: list[str]
    layers: list[str]
    steps: list[int]
    source_classes: list[str]
    metric: str
    fewest_images: int


@dataclass(frozen=True)
class Drifts:
    """The models of a study, in the order of its rows.

    Attributes:
        drift: float64[models, domains, layers, steps].
        retention: float64[models, layers, steps].
        class_retention: float64[models, layers, steps, source classes].
        accuracy, margin: float64[models, steps].
    """

    rows: Rows
    axes: Axes
    drift: np.ndarray
    retention: np.ndarray
    class_retention: np.ndarray
    accuracy: np.ndarray
    margin: np.ndarray


def read_drifts(paths: Sequence[Path], like: Axes | None = None) -> Drifts:
    """All shards of a study, in order.

    Args:
        like: what models of another study were looked at on, which these are compared with.

    Raises:
        ArtefactError: a damaged file, shards out of order, or models that were looked at on something else.
    """
    parts = [_read(path) for path in paths]
    expected = like or parts[0].axes
    for path, part in zip(paths, parts, strict=True):
        if part.axes != expected:
            raise ArtefactError(
                f"{path}: models were looked at on other layers, steps or images than those that they are "
                "compared with; delete it and run snakemake again"
            )
    values = {name: np.concatenate([getattr(part, name) for part in parts]) for name in _OF_MODELS}
    return Drifts(studies.joined([part.rows for part in parts], list(paths)), expected, **values)


def _read(path: Path) -> Drifts:
    with artefacts.open(path, DRIFTS) as file:
        reached = _reached(file)
        values = {name: np.take(file[name][:], reached, axis) for name, axis in _OF_MODELS.items()}
        return Drifts(studies.read_rows(file), _axes(file, reached), **values)


def _reached(file: h5py.File) -> np.ndarray:
    """Positions of the steps after the start at which all models were looked at."""
    (reached,) = np.nonzero(np.isfinite(file["margin"][:]).all(0))
    return reached[reached > 0]


def _axes(file: h5py.File, reached: np.ndarray) -> Axes:
    domains, layers, classes = (artefacts.names(file[name]) for name in ("domain", "layer", "source_class"))
    told = file.attrs["metric"], int(file.attrs["fewest_images"])
    return Axes(domains, layers, file["step"][reached].tolist(), classes, *told)
