"""What happens to the target without some units of the source: curves, controls, single removals."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from scipy import stats

from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact
from transferlens.core.statistics import Interval, mean_interval, t_interval
from transferlens.core.studies import FULL, SCRATCH
from transferlens.counterfactual.orders import SINGLE, Cells
from transferlens.data.artefacts import HALVES
from transferlens.training import outputs as stored
from transferlens.training import summary as summaries
from transferlens.training.artefacts import SUMMARY
from transferlens.training.summary import Summary

_SELECT, _REPORT = HALVES.index("select"), HALVES.index("report")


@dataclass(frozen=True)
class Predictions:
    """What influences predict for single removals, on the report half.

    Attributes:
        effect, se, low, high: float[units], influence on the mean output of the report half, with its
            standard error and 95 % interval.
    """

    effect: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray


def read_predictions(path: Path, output: str) -> Predictions:
    """The influences on the mean of an output. They are estimated in single precision."""
    with artefacts.open(path, "influence") as file:
        effect, se, low, high = (
            file[f"{output}/overall_effect{part}"][_REPORT] for part in ("", "_se", "_low", "_high")
        )
    return Predictions(effect.astype(np.float32), se.astype(np.float32), low, high)


def write_counterfactual(
    path: Path,
    artefact: Artefact,
    summary_path: Path,
    reference_path: Path,
    cells: Cells,
    repeats: int,
    output: str,
    predicted: Predictions,
) -> None:
    """Curves with intervals over repeats, against the full source, and the gain at a chosen k.

    Differences are paired: repeat r of every cell started from the same weights and seed as the full-source
    model of repeat r. The best k of an order maximises mean accuracy on the select half; its gain is stated
    on the report half, which played no part in the choice.

    Args:
        artefact: COUNTERFACTUAL, or REUSE for another network than influences were estimated with.
    """
    with artefacts.open(summary_path, SUMMARY) as file:
        summary = summaries.read_summary(file)
        accuracy = by_cell(summary, summary.accuracy, cells, repeats)
        outputs = by_cell(summary, _half_means(file, output, summary), cells, repeats)
    full, scratch, full_outputs = reference_values(reference_path, output)
    curves = len(cells.orders) * len(cells.ks)
    with artefacts.create(path, artefact) as out:
        out.write("half", HALVES)
        out.write("full", full)
        out.write("scratch", scratch)
        shape = (len(cells.orders), len(cells.ks), 2, repeats)
        _write_curves(out, cells, accuracy[:curves].reshape(shape), full.T[:, :repeats])
        if cells.handpicked:
            _write_handpicked(out, accuracy[curves], full.T[:, :repeats], summary, cells)
        if cells.singles:
            change = (outputs - full_outputs.T[:, :repeats])[-cells.singles :, _REPORT]
            _write_singles(out, change, summary, cells, predicted)


def by_cell(summary: Summary, values: np.ndarray, cells: Cells, repeats: int) -> np.ndarray:
    """Values float64[models, halves] of a counterfactual summary as float64[cells, halves, repeats]."""
    rows, arranged = summary.rows, np.full((len(cells.table()), 2, repeats), np.nan)
    for i, of_row in enumerate(values):
        cell = cells.of_columns(rows.removed_by[i], int(rows.removed[i]))
        arranged[cell, :, rows.repeats[i]] = of_row
    return arranged


def _half_means(file: h5py.File, output: str, summary: Summary) -> np.ndarray:
    """Each model's mean of an output over a half: float64[models, halves]."""
    values = stored.Output(file, output)[:].astype(np.float64)
    return np.stack([values[:, summary.example_halves == h].mean(1) for h in range(2)], axis=1)


def reference_values(path: Path, output: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracies float64[repeats, halves] of full-source and from-scratch models; mean outputs of the
    former.
    """
    with artefacts.open(path, SUMMARY) as file:
        summary = summaries.read_summary(file)
        outputs = _half_means(file, output, summary)
    full, scratch = (summary.rows.of_role(role) for role in (FULL, SCRATCH))
    return summary.accuracy[full], summary.accuracy[scratch], outputs[full]


def _write_curves(out: artefacts.Writer, cells: Cells, accuracy: np.ndarray, full: np.ndarray) -> None:
    """Curves float64[orders, ks, halves, repeats], and the best k of each order."""
    gain = accuracy - full
    out.write("order", cells.orders)
    out.write("k", cells.ks)
    out.write("accuracy", accuracy)
    _write_interval(out, "accuracy_mean", mean_interval(accuracy))
    _write_interval(out, "gain_mean", mean_interval(gain))
    best = accuracy[:, :, _SELECT].mean(-1).argmax(1)
    chosen = gain[np.arange(len(best)), best, _REPORT]
    out.write("best_k", np.array(cells.ks)[best])
    _write_interval(out, "best_gain_mean", mean_interval(chosen))


def _write_interval(out: artefacts.Writer, name: str, interval: Interval) -> None:
    for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
        out.write(f"{name}{suffix}", getattr(interval, key))


def _write_handpicked(
    out: artefacts.Writer, accuracy: np.ndarray, full: np.ndarray, summary: Summary, cells: Cells
) -> None:
    """The source cut down to the units picked by hand: accuracies float64[halves, repeats]."""
    kept = len(cells.handpicked or ())
    out.attribute("handpicked_kept", kept)
    out.attribute("handpicked_removed", len(summary.rows.unit_names) - kept)
    _write_interval(out, "handpicked_accuracy_mean", mean_interval(accuracy))
    _write_interval(out, "handpicked_gain_mean", mean_interval(accuracy - full))


def _write_singles(
    out: artefacts.Writer, change: np.ndarray, summary: Summary, cells: Cells, predicted: Predictions
) -> None:
    """Units removed alone: realised change float64[singles, repeats] of the mean output against the
    predicted.
    """
    units = removed_alone(summary, cells.singles)
    expected, se = -predicted.effect[units], predicted.se[units]
    out.write("removed_class", [summary.rows.unit_names[unit] for unit in units])
    out.write("single_change", change)
    _write_interval(out, "single_change_mean", mean_interval(change))
    out.write("single_predicted_se", se)
    _write_interval(
        out, "single_predicted", Interval(expected, -predicted.high[units], -predicted.low[units])
    )
    if cells.singles > 2:
        for name, value in agreement(expected, se, change.mean(1)).items():
            out.attribute(f"singles_{name}", float(value))


def removed_alone(summary: Summary, singles: int) -> list[int]:
    """The unit that is missing at every place of the single removals."""
    rows = summary.rows
    missing = {
        int(place): int(np.flatnonzero(~mask)[0])
        for mask, by, place in zip(rows.masks, rows.removed_by, rows.removed, strict=True)
        if by == SINGLE
    }
    return [missing[place] for place in range(singles)]


def agreement(predicted: np.ndarray, se: np.ndarray, realised: np.ndarray) -> dict[str, float]:
    """Least-squares line of realised on predicted changes over units, with R^2 and Student's 95 % interval.

    `reliability` is the share of the predictions' variance that is not estimation error: noise in the
    predictions draws the slope towards zero by this factor.
    """
    line = stats.linregress(predicted, realised)
    interval = t_interval(line.slope, line.stderr, len(predicted) - 2)
    noise = np.mean(np.square(se, dtype=np.float64)) / predicted.var(ddof=1)
    return {
        "slope": line.slope,
        "slope_low": interval.low,
        "slope_high": interval.high,
        "r_squared": line.rvalue**2,
        "p": line.pvalue,
        "reliability": max(0.0, 1 - noise),
    }
