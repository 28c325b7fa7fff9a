"""What happens to the target without some units of the source: curves, controls, single removals."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy import stats

from transferlens.core import store
from transferlens.core.statistics import mean_interval, t_interval
from transferlens.counterfactual.orders import Removals
from transferlens.data.index import HALVES
from transferlens.training import outputs as stored
from transferlens.training import summary as summaries
from transferlens.training.summary import Summary

KIND = "counterfactual"
_SELECT, _REPORT = HALVES.index("select"), HALVES.index("report")


@dataclass(frozen=True)
class Predictions:
    """What influences predict for single removals, on the report half.

    Attributes:
        effect, se, high: float[units], influence on the mean output of the report half, with its standard
            error and the upper end of its 95 % interval.
    """

    effect: np.ndarray
    se: np.ndarray
    high: np.ndarray


def write_counterfactual(
    path: Path,
    summary_path: Path,
    reference_path: Path,
    removals: Removals,
    repeats: int,
    output: str,
    predicted: Predictions,
    *,
    config: dict,
    inputs: list,
) -> None:
    """Curves with intervals over repeats, against the full source, and the gain at a chosen k.

    Differences are paired: repeat r of every cell started from the same weights and seed as the full-source
    model of repeat r. The best k of an order maximises mean accuracy on the select half; its gain is stated
    on the report half, which played no part in the choice.
    """
    with store.open(summary_path, summaries.KIND) as file:
        summary = summaries.read_summary(file)
        accuracy = by_cell(summary, summary.accuracy, removals, repeats)
        outputs = by_cell(summary, _half_means(file, output, summary), removals, repeats)
    full, scratch, full_outputs = reference_values(reference_path, output)
    curves = len(removals.orders) * len(removals.ks)
    with store.create(path, KIND, config=config, inputs=inputs) as out:
        out.strings("unit_names", summary.rows.unit_names, ["units"], "source class, or group of them")
        out.array("masks", summary.rows.masks, ["models", "units"], "units each model saw")
        out.strings("labels", summary.rows.labels, ["models"], "order-k-repeat")
        out.array("full", full, ["repeats", "halves"], "accuracy from the full source")
        out.array("scratch", scratch, ["repeats", "halves"], "accuracy from scratch")
        shape = (len(removals.orders), len(removals.ks), 2, repeats)
        _write_curves(out, removals, accuracy[:curves].reshape(shape), full.T[:, :repeats])
        rest = accuracy[curves:]
        if removals.handpicked:
            _write_handpicked(out, rest[0], full.T[:, :repeats], summary, removals)
        if removals.singles:
            change = (outputs - full_outputs.T[:, :repeats])[-removals.singles :, _REPORT]
            _write_singles(out, change, summary, removals, predicted)


def by_cell(summary: Summary, values: np.ndarray, removals: Removals, repeats: int) -> np.ndarray:
    """Values float64[models, halves] of a counterfactual summary as float64[cells, halves, repeats]."""
    cells = removals.cells()
    arranged = np.full((len(cells), 2, repeats), np.nan)
    for row, of_row in zip(summary.rows.rows, values, strict=True):
        repeat, order, k = removals.row_meaning(row)
        arranged[cells.index((order, k)), :, repeat] = of_row
    return arranged


def _half_means(file, output: str, summary: Summary) -> np.ndarray:
    """Each model's mean of an output over a half: float64[models, halves]."""
    values = stored.Output(file, output)[:].astype(np.float64)
    return np.stack([values[:, summary.example_halves == h].mean(1) for h in range(2)], axis=1)


def reference_values(path: Path, output: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Accuracies float64[repeats, halves] of full-source and from-scratch models; mean outputs of the
    former.
    """
    with store.open(path, summaries.KIND) as file:
        summary = summaries.read_summary(file)
        full = summary.rows.masks.all(1)
        outputs = _half_means(file, output, summary)
    return summary.accuracy[full], summary.accuracy[~full], outputs[full]


def _write_curves(out: store.Writer, removals: Removals, accuracy: np.ndarray, full: np.ndarray) -> None:
    """Curves float64[orders, ks, halves, repeats], and the best k of each order."""
    gain = accuracy - full
    dims = ["orders", "ks", "halves"]
    out.strings("orders", removals.orders, ["orders"], "order of removal")
    out.array("ks", np.array(removals.ks), ["ks"], "units removed")
    out.array("accuracy", accuracy, [*dims, "repeats"], "target accuracy")
    _write_interval(out, "accuracy", accuracy, dims, "accuracy")
    _write_interval(out, "gain", gain, dims, "accuracy minus that from the full source, paired by repeat")
    best = accuracy[:, :, _SELECT].mean(-1).argmax(1)
    chosen = gain[np.arange(len(best)), best, _REPORT]
    out.array("best_k", np.array(removals.ks)[best], ["orders"], "k chosen on the select half")
    _write_interval(out, "best_gain", chosen, ["orders"], "paired gain on the report half at the chosen k")


def _write_interval(out: store.Writer, name: str, values: np.ndarray, dims: list[str], meaning: str) -> None:
    """Mean over the last axis (repeats) with its 95 % interval."""
    interval = mean_interval(values)
    out.array(f"{name}_mean", interval.value, dims, f"mean {meaning}")
    out.array(f"{name}_low", interval.low, dims, f"{meaning}: lower end of 95 %")
    out.array(f"{name}_high", interval.high, dims, f"{meaning}: upper end of 95 %")


def _write_handpicked(out: store.Writer, accuracy, full, summary: Summary, removals: Removals) -> None:
    """The source cut down to the units picked by hand: accuracy float64[halves, repeats]."""
    out.attribute("handpicked_kept", len(removals.handpicked))
    out.attribute("handpicked_removed", len(summary.rows.unit_names) - len(removals.handpicked))
    _write_interval(out, "handpicked/accuracy", accuracy, ["halves"], "accuracy")
    _write_interval(out, "handpicked/gain", accuracy - full, ["halves"], "gain over the full source")


def _write_singles(
    out: store.Writer, change: np.ndarray, summary: Summary, removals: Removals, predicted: Predictions
) -> None:
    """Units removed alone: realised change float64[singles, repeats] of the mean output against the
    predicted.
    """
    labels = summary.rows.labels
    units = [
        int(np.flatnonzero(~summary.rows.masks[labels.index(f"single-{j}-0")])[0])
        for j in range(removals.singles)
    ]
    dims = ["singles"]
    out.array("singles/units", np.array(units), dims, "index into unit_names of the removed one")
    out.array("singles/change", change, ["singles", "repeats"], "realised change of the mean output")
    _write_interval(out, "singles/change", change, dims, "realised change of the mean output")
    expected = -predicted.effect[units]
    out.array("singles/predicted", expected, dims, "predicted change: minus the influence")
    out.array("singles/predicted_se", predicted.se[units], dims, "its standard error")
    reach = predicted.high[units] - predicted.effect[units]
    out.array("singles/predicted_reach", reach, dims, "half the width of its 95 % interval")
    if removals.singles > 2:
        for name, value in agreement(expected, predicted.se[units], change.mean(1)).items():
            out.attribute(f"singles_{name}", float(value))


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
