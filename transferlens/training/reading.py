"""What models say of target examples, and make of any, as other rooms and people read it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from transferlens.core import artefacts, labelled, studies
from transferlens.core.artefacts import Artefact
from transferlens.core.studies import Rows
from transferlens.training import outputs as stored
from transferlens.training.artefacts import FEATURES, OUTPUTS, SUMMARY

if TYPE_CHECKING:
    import xarray as xr


def read_outputs(path: Path, outputs: Sequence[str]) -> "xr.Dataset":
    """A summary with the named outputs of every model on every example (model, example).

    Outputs that a summary does not store follow from those it does.
    """
    with artefacts.open(path, SUMMARY) as file:
        values = {name: (("model", "example"), stored.Output(file, name)[:]) for name in outputs}
    rest = labelled.read(path, SUMMARY)
    return rest.drop_vars([name for name in OUTPUTS if name in rest]).assign(values)


def image_weights(labels: np.ndarray, metric: str) -> np.ndarray:
    """What each image counts in an accuracy, float64[images]: all alike (also where the metric is `auroc`, of
    which accuracies are no part), or, `per_class`, all classes that have any alike.

    Args:
        labels: [images], the true classes, as numbers or names.
    """
    if metric != "per_class":
        return np.ones(len(labels))
    _, place, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return 1 / counts[place]


@dataclass(frozen=True)
class ModelFeatures:
    """What a model makes of images before its head, and this head.

    Attributes:
        features: float32[examples, features].
        weight, bias: float32[classes, features] and [classes] of the head.
    """

    features: np.ndarray
    weight: np.ndarray
    bias: np.ndarray

    @property
    def logits(self) -> np.ndarray:
        """float32[examples, classes]; those of a forward pass up to the rounding of its last layer."""
        return self.features @ self.weight.T + self.bias


def feature_rows(paths: Sequence[Path], kind: Artefact = FEATURES) -> Rows:
    """The rows of all shards of features, in order."""
    return studies.joined([_rows(path, kind) for path in paths], list(paths))


def model_features(
    paths: Sequence[Path], numbers: Sequence[int], kind: Artefact = FEATURES
) -> Iterator[ModelFeatures]:
    """Features of the rows with these numbers, one model at a time.

    Args:
        paths: shards of features of a study on one split of a data set.
        kind: FEATURES of source models, or ADAPTED_FEATURES.

    Raises:
        ArtefactError: a damaged file, or a row that is in none.
    """
    parts = [_rows(path, kind) for path in paths]
    for shard, i in studies.places(parts, paths, numbers):
        with artefacts.open(paths[shard], kind) as file:
            made = ModelFeatures(*(file[name][i] for name in ("features", "head_weight", "head_bias")))
        yield made


def _rows(path: Path, kind: Artefact) -> Rows:
    with artefacts.open(path, kind) as file:
        return studies.read_rows(file)
