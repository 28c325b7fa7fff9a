"""What models whose source never had the memory make of the examples: the change of their margins."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import artefacts, studies
from transferlens.core.statistics import mean_interval
from transferlens.core.studies import FULL
from transferlens.training import outputs
from transferlens.training.artefacts import SUMMARY


@dataclass(frozen=True)
class Without:
    """Change of the margin without the memory; NaN for examples whose memory was in all sources.

    Attributes:
        effect: float64[examples], models without the memory minus their full-source pairs, mean over repeats.
        low, high: float64[examples], 95 % interval over repeats (NaN of a single one).
        control_mean: float64[examples], mean change without each of the other classes left out.
    """

    effect: np.ndarray
    low: np.ndarray
    high: np.ndarray
    control_mean: np.ndarray


def change_without(masks: np.ndarray, margins: np.ndarray, full: np.ndarray, memory: np.ndarray) -> Without:
    """Compare models that miss one source class with full-source models.

    Args:
        masks: bool[models, C], the source classes that each model saw: all but one. Models without the same
            class are its repeats, in order.
        margins: float[models, n].
        full: float[repeats or more, n], margins of the full-source models, repeat by repeat.
        memory: int64[n], the source class of each example.
    """
    removed = masks.argmin(1)
    changes = {}
    for c in np.unique(removed):
        rows = margins[removed == c].astype(np.float64)
        changes[int(c)] = rows - full[: len(rows)]
    compared = np.full((4, len(memory)), np.nan)
    for i, c in enumerate(memory):
        others = [change[:, i].mean() for other, change in changes.items() if other != c]
        if others:
            compared[3, i] = np.mean(others)
        if int(c) in changes:
            of_repeats = changes[int(c)][:, i]
            compared[0, i] = of_repeats.mean()
            if len(of_repeats) > 1:
                interval = mean_interval(of_repeats)
                compared[1:3, i] = interval.low, interval.high
    return Without(*compared)


def read_without(path: Path, reference: Path, memory: np.ndarray, examples: np.ndarray) -> Without:
    """Compare the models of two summaries on the examples at positions int64[n]."""
    with artefacts.open(path, SUMMARY) as file:
        masks, margins = file["mask"][:], outputs.Output(file, "raw_margin")[:]
    with artefacts.open(reference, SUMMARY) as file:
        full = studies.read_rows(file).of_role(FULL)
        of_full = outputs.Output(file, "raw_margin")[:][full]
    return change_without(masks, margins[:, examples], of_full[:, examples], memory)
