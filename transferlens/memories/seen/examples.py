"""Seen and unseen on single natural images, from the outputs of models trained without each class."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import artefacts, studies
from transferlens.core.statistics import mean_interval
from transferlens.memories.retraining.retrained import rows_without
from transferlens.memories.seen.estimate import FEWEST_REPEATS, Contrast, contrast, place_among, stack
from transferlens.training import outputs
from transferlens.training.artefacts import SUMMARY


def of_repeats(values: np.ndarray, models: np.ndarray, places: np.ndarray) -> Contrast:
    """The contrast of values float[rows, units] of a study whose rows without each class are known.

    Args:
        models: int64[left out, repeats].
        places: int64[units], the place of each unit's class among those left out.
    """
    always = np.ones((len(models), values.shape[1]), bool)
    return stack([contrast(values[rows], always, places) for rows in models.T])


@dataclass(frozen=True)
class SeenMinusUnseen:
    """Log-odds of single images under models that saw the memory minus under models trained without it.

    Attributes:
        effect, low, high: float64[examples], mean over repeats with a 95 % interval; NaN for images whose
            memory was in all sources, and with too few repeats.
    """

    effect: np.ndarray
    low: np.ndarray
    high: np.ndarray


def of_examples(without: Path, memory: np.ndarray, examples: np.ndarray) -> SeenMinusUnseen:
    """Of the examples at positions int64[n], whose memories are source classes int64[n]."""
    with artefacts.open(without, SUMMARY) as file:
        left_out = rows_without(studies.read_rows(file))
        own = np.flatnonzero(np.isin(memory, left_out.classes))
        margins = outputs.Output(file, "margin")[:][:, examples[own]].astype(np.float64)
    told = np.full((3, len(examples)), np.nan)
    if left_out.models.shape[1] >= FEWEST_REPEATS:
        found = of_repeats(margins, left_out.models, place_among(left_out.classes, memory[own]))
        interval = mean_interval((found.seen - found.unseen).T)
        told[:, own] = interval.value, interval.low, interval.high
    return SeenMinusUnseen(*told)
