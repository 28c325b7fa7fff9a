"""Accuracies of candidate sources on a target, and what each gains over its own network from scratch."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.core import artefacts
from transferlens.core.crossed import CrossedMeans, crossed_means
from transferlens.core.studies import SCRATCH
from transferlens.encoders.artefacts import CANDIDATES
from transferlens.training.reading import image_weights

# What is compared, and the least and the most that it can be.
QUANTITIES = {"accuracy": (0, 1), "scratch": (0, 1), "gain": (-1, 1)}
# What is told of a candidate beside its accuracies, as the settings say it.
_TOLD = ("network", "weights", "resolution", "crop_ratio", "mean", "std")


@dataclass(frozen=True)
class Compared:
    """What is known of a candidate.

    Attributes:
        models: repeats, each a model of the weights and one from scratch.
        means: of QUANTITIES, in this order; without ends where `missing` says why.
        missing: why there are no intervals; '' where there are.
    """

    models: int
    means: CrossedMeans
    missing: str


def compare(summary: xr.Dataset) -> Compared:
    """Accuracies of a candidate on the report half, with intervals over models and images.

    Args:
        summary: with `correct`, of a study whose repeats are a model of the whole source, or of given
            weights, and one from scratch.
    """
    report = np.flatnonzero(summary.example_half.values == "report")
    given, scratch = (_rows(summary, from_scratch) for from_scratch in (False, True))
    if summary.metric == "auroc":
        accuracy = summary.accuracy.sel(half="report").values
        own, control = accuracy[given], accuracy[scratch]
        value = np.array([own.mean(), control.mean(), (own - control).mean()])
        nothing = np.full(len(QUANTITIES), np.nan)
        reason = "an area under the ROC curve is no mean over images"
        return Compared(len(given), CrossedMeans(value, *[nothing] * 5), reason)
    correct = summary.correct.values[:, report].astype(np.float64)
    own, control = correct[given], correct[scratch]
    weights = np.broadcast_to(image_weights(summary.example_class.values[report], summary.metric), own.shape)
    means = crossed_means(np.stack([own, control, own - control]), weights, [np.arange(len(report))])
    reason = "one model cannot tell how models differ" if len(given) == 1 else ""
    return Compared(len(given), means, reason)


def _rows(summary: xr.Dataset, from_scratch: bool) -> np.ndarray:
    """Positions int64[repeats] of the models from scratch, or of the others, by repeat."""
    rows = np.flatnonzero((summary.role.values == SCRATCH) == from_scratch)
    return rows[np.argsort(summary.repeat.values[rows], kind="stable")]


def write_candidates(
    path: Path, summaries: Sequence[xr.Dataset], candidates: Sequence[Mapping[str, Any]]
) -> None:
    """Compare and store the candidates.

    Args:
        summaries: as of `compare`, one a candidate.
        candidates: what each is: `study`, its network, weights and input.
    """
    compared = [compare(summary) for summary in summaries]
    with artefacts.create(path, CANDIDATES) as out:
        out.write("candidate", [candidate["study"] for candidate in candidates])
        for name in _TOLD:
            out.write(name, [candidate[name] for candidate in candidates])
        out.write("models", [one.models for one in compared])
        for i, (name, possible) in enumerate(QUANTITIES.items()):
            for end, attribute in (("", "value"), ("_low", "low"), ("_high", "high")):
                values = [getattr(one.means, attribute)[i] for one in compared]
                out.write(name + end, np.clip(values, *possible))
        out.write("interval_missing", [one.missing for one in compared])
        out.attribute("metric", summaries[0].metric)
        out.attribute("images", int((summaries[0].example_half.values == "report").sum()))


def table(candidates: xr.Dataset) -> pd.DataFrame:
    """One row for every candidate; what a channel has its own of is a column a channel (`mean_0`, ...)."""
    columns: dict[str, np.ndarray] = {}
    for field in CANDIDATES.fields:
        values = candidates[field.name].values
        columns |= {field.name: values} if values.ndim == 1 else _by_channel(field.name, values)
    return pd.DataFrame(columns)


def _by_channel(name: str, values: np.ndarray) -> dict[str, np.ndarray]:
    """Columns of values [candidates, channels]."""
    return {f"{name}_{i}": column for i, column in enumerate(values.T)}
