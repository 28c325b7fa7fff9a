"""What models whose source never had the memory make of the examples: the change of their margins."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import store
from transferlens.core.statistics import mean_interval
from transferlens.training import outputs, summary


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

    def write(self, out: store.Writer) -> None:
        """Store beside the ranking, one entry an example."""
        for key, meaning in (
            ("effect", "change of the margin in models retrained without the memory; NaN where none was"),
            ("low", "lower end of its 95 % interval over repeats"),
            ("high", "upper end of its 95 % interval over repeats"),
            ("control_mean", "mean change without each of the other classes that were left out"),
        ):
            out.array(f"without/{key}", getattr(self, key), ["examples"], meaning, "logit units")


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
    found = np.full((4, len(memory)), np.nan)
    for i, c in enumerate(memory):
        others = [change[:, i].mean() for other, change in changes.items() if other != c]
        if others:
            found[3, i] = np.mean(others)
        if int(c) in changes:
            values = changes[int(c)][:, i]
            found[0, i] = values.mean()
            if len(values) > 1:
                interval = mean_interval(values)
                found[1:3, i] = interval.low, interval.high
    return Without(*found)


def read_without(path: Path, reference: Path, memory: np.ndarray, examples: np.ndarray) -> Without:
    """Compare the models of two summaries on the examples at positions int64[n]."""
    with store.open(path, summary.KIND) as file:
        masks, margins = file["masks"][:].astype(bool), outputs.Output(file, "raw_margin")[:]
    with store.open(reference, summary.KIND) as file:
        full = [label.startswith("full-") for label in store.strings(file["labels"])]
        of_full = outputs.Output(file, "raw_margin")[:][np.array(full)]
    return change_without(masks, margins[:, examples], of_full[:, examples], memory)
