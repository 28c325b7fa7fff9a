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

# What a file holds of every model, after every step but the first of `step`, which is before any.
_OF_MODELS = {
    "drift": (..., slice(1, None)),
    "retention": (..., slice(1, None)),
    "class_retention": (..., slice(1, None), slice(None)),
    "accuracy": (..., slice(1, None)),
    "margin": (..., slice(1, None)),
}


@dataclass(frozen=True)
class Axes:
    """What the models of a study were looked at on; the same for all that are compared.

    Attributes:
        steps: optimiser steps taken, from the first moment after the start on.
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
        values = {name: file[name][()][places] for name, places in _OF_MODELS.items()}
        return Drifts(studies.read_rows(file), _axes(file), **values)


def _axes(file: h5py.File) -> Axes:
    domains, layers, classes = (artefacts.names(file[name]) for name in ("domain", "layer", "source_class"))
    told = file.attrs["metric"], int(file.attrs["fewest_images"])
    return Axes(domains, layers, file["step"][1:].tolist(), classes, *told)
