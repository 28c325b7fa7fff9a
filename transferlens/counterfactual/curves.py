"""What happens to the target without some units of the source: curves, controls, and predictions tested."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact
from transferlens.core.statistics import Interval, mean_interval
from transferlens.core.studies import FULL, SCRATCH, Rows
from transferlens.counterfactual.choice import choose
from transferlens.counterfactual.orders import HANDPICKED, RANDOM_SET, SINGLE, Cells
from transferlens.counterfactual.predictions import Predictions, correlations_within, line, slope_within
from transferlens.data.artefacts import HALVES
from transferlens.training import outputs as stored
from transferlens.training import summary as summaries
from transferlens.training.artefacts import SUMMARY
from transferlens.training.summary import Summary

_SELECT, _REPORT = HALVES.index("select"), HALVES.index("report")


@dataclass(frozen=True)
class Retrained:
    """What retrained models say of the target, beside the full-source models that they are paired with.

    Repeat r of every cell started from the same weights and seed as the full-source model of repeat r, so
    differences are taken repeat by repeat.

    Attributes:
        cells: of the study.
        rows: the rows of the study.
        accuracy, mean_output: float64[cells, halves, repeats].
        full, full_output: float64[halves, repeats], of the full-source models.
    """

    cells: Cells
    rows: Rows
    accuracy: np.ndarray
    mean_output: np.ndarray
    full: np.ndarray
    full_output: np.ndarray

    @property
    def gain(self) -> np.ndarray:
        """float64[cells, halves, repeats], accuracy minus that from the full source."""
        return self.accuracy - self.full

    @property
    def change(self) -> np.ndarray:
        """float64[cells, repeats], of the report half's mean output against the full source."""
        return self.mean_output[:, _REPORT] - self.full_output[_REPORT]

    def masks(self, removed_by: str) -> np.ndarray:
        """bool[cells, repeats, units] of the cells whose units were chosen this way."""
        cells, repeats = self.cells.places(removed_by), self.accuracy.shape[-1]
        masks = np.zeros((len(cells), repeats, self.rows.masks.shape[1]), bool)
        for i in np.flatnonzero(np.array(self.rows.removed_by) == removed_by):
            cell = self.cells.of_columns(removed_by, int(self.rows.removed[i]))
            masks[cells.index(cell), self.rows.repeats[i]] = self.rows.masks[i]
        return masks


@dataclass(frozen=True)
class Reference:
    """Models of the study `reference`.

    Attributes:
        full, scratch: float64[repeats, halves], accuracies from the full source and from scratch.
        output: float64[repeats, halves], mean outputs from the full source.
    """

    full: np.ndarray
    scratch: np.ndarray
    output: np.ndarray


def read_reference(path: Path, output: str) -> Reference:
    """From the summary of the study."""
    with artefacts.open(path, SUMMARY) as file:
        summary = summaries.read_summary(file)
        outputs = _half_means(file, output, summary)
    full, scratch = (summary.rows.of_role(role) for role in (FULL, SCRATCH))
    return Reference(summary.accuracy[full], summary.accuracy[scratch], outputs[full])


def read_retrained(path: Path, reference: Reference, cells: Cells, output: str) -> Retrained:
    """From the summary of a study of removals."""
    with artefacts.open(path, SUMMARY) as file:
        summary = summaries.read_summary(file)
        outputs = _half_means(file, output, summary)
    repeats = int(summary.rows.repeats.max()) + 1
    return Retrained(
        cells,
        summary.rows,
        by_cell(summary.rows, summary.accuracy, cells, repeats),
        by_cell(summary.rows, outputs, cells, repeats),
        reference.full.T[:, :repeats],
        reference.output.T[:, :repeats],
    )


def write_counterfactual(
    path: Path,
    artefact: Artefact,
    reference: Reference,
    retrained: Retrained,
    predicted: Predictions | None = None,
    mapped: np.ndarray | None = None,
    steps: Retrained | None = None,
) -> None:
    """Curves with intervals over repeats, against the full source, and all else that was asked for.

    Args:
        artefact: COUNTERFACTUAL, REUSE for another network than influences were estimated with, or
            BLOCK_REMOVALS.
        predicted: what influences predict, where units were removed alone or in random sets.
        mapped: float64[units], target images that the full source puts into each unit: a rival of influences
            on random sets.
        steps: the removals that were trained with as many steps as the full source; their cells are among
            those of the study.
    """
    cells = retrained.cells
    with artefacts.create(path, artefact) as out:
        out.write("half", HALVES)
        out.write("full", reference.full)
        out.write("scratch", reference.scratch)
        _write_curves(out, retrained)
        if cells.handpicked:
            _write_handpicked(out, retrained)
        if cells.singles:
            _write_singles(out, retrained, predicted)
        if cells.subsets:
            _write_random_sets(out, retrained, predicted.effect, mapped)
        if steps:
            _write_steps(out, retrained, steps)


def by_cell(rows: Rows, values: np.ndarray, cells: Cells, repeats: int) -> np.ndarray:
    """Values float64[models, halves] of a study of removals as float64[cells, halves, repeats]."""
    arranged = np.full((len(cells.table()), 2, repeats), np.nan)
    for i, of_row in enumerate(values):
        cell = cells.of_columns(rows.removed_by[i], int(rows.removed[i]))
        arranged[cell, :, rows.repeats[i]] = of_row
    return arranged


def _half_means(file: h5py.File, output: str, summary: Summary) -> np.ndarray:
    """Each model's mean of an output over a half: float64[models, halves]."""
    values = stored.Output(file, output)[:].astype(np.float64)
    return np.stack([values[:, summary.example_halves == h].mean(1) for h in range(2)], axis=1)


def _write_curves(out: artefacts.Writer, retrained: Retrained) -> None:
    """Accuracies and gains of every order and k, and the gain at a k that other repeats choose."""
    cells = retrained.cells
    shape = (len(cells.orders), len(cells.ks), *retrained.full.shape)
    curves = len(cells.orders) * len(cells.ks)
    accuracy, gain = (values[:curves].reshape(shape) for values in (retrained.accuracy, retrained.gain))
    out.write("order", cells.orders)
    out.write("k", cells.ks)
    out.write("accuracy", accuracy)
    out.write_interval("accuracy_mean", mean_interval(accuracy))
    out.write_interval("gain_mean", mean_interval(gain))
    choice = choose(accuracy[:, :, _SELECT], gain[:, :, _REPORT])
    out.write("best_k", np.array(cells.ks)[choice.by_all])
    out.write("best_k_share", choice.agree)
    out.write_interval("best_gain_mean", choice.gain)
    if choice.missing:
        out.attribute("best_gain_missing", choice.missing)


def _write_handpicked(out: artefacts.Writer, retrained: Retrained) -> None:
    """The source cut down to the units picked by hand."""
    (cell,) = retrained.cells.places(HANDPICKED)
    kept = len(retrained.cells.handpicked or ())
    out.attribute("handpicked_kept", kept)
    out.attribute("handpicked_removed", len(retrained.rows.unit_names) - kept)
    out.write_interval("handpicked_accuracy_mean", mean_interval(retrained.accuracy[cell]))
    out.write_interval("handpicked_gain_mean", mean_interval(retrained.gain[cell]))


def _write_singles(out: artefacts.Writer, retrained: Retrained, predicted: Predictions) -> None:
    """Units removed alone: realised changes against those predicted by draws that did not choose them."""
    units = (~retrained.masks(SINGLE)[:, 0]).argmax(1)
    change = retrained.change[retrained.cells.places(SINGLE)]
    out.write("removed_class", [retrained.rows.unit_names[unit] for unit in units])
    out.write("single_change", change)
    out.write_interval("single_change_mean", mean_interval(change))
    if predicted.single is None:
        out.attribute("single_predicted_missing", predicted.missing)
        return
    expected = Interval(
        -predicted.single.value[units], -predicted.single.high[units], -predicted.single.low[units]
    )
    out.write_interval("single_predicted", expected)
    out.write("single_predicted_se", predicted.single_se[units])
    if len(units) > 2:
        fitted = line(expected.value, predicted.single_se[units], change.mean(1))
        # A line through predictions that differ no more than their errors do says nothing.
        kept = fitted if fitted["reliability"] > 0 else {"reliability": 0.0}
        for name, value in kept.items():
            out.attribute(f"singles_{name}", float(value))


def _write_random_sets(
    out: artefacts.Writer, retrained: Retrained, effect: np.ndarray, mapped: np.ndarray | None
) -> None:
    """Random sets: realised changes against sums of influences float64[units], and against rivals."""
    removed = ~retrained.masks(RANDOM_SET)
    change = retrained.change[retrained.cells.places(RANDOM_SET)]
    rivals = {} if mapped is None else {"label mapping": mapped}
    each = {"influence": effect, **rivals, "number of classes": np.ones(len(effect))}
    predicted = np.stack([-(removed @ values) for values in each.values()])
    correlation, advantage = correlations_within(predicted, change)
    out.write("random_set", np.arange(len(removed)))
    out.write("set_size", removed[:, 0].sum(1))
    out.write("set_change", change)
    out.write("predictor", list(each))
    out.write("set_predicted", predicted)
    out.write_interval("set_correlation", correlation)
    out.write_interval("set_advantage", advantage)
    slope = slope_within(predicted[0], change)
    for end, value in (("", slope.value), ("_low", slope.low), ("_high", slope.high)):
        out.attribute(f"sets_slope{end}", float(value))


def _write_steps(out: artefacts.Writer, retrained: Retrained, steps: Retrained) -> None:
    """Removals with as many steps as the full source, and how much that adds to the same with fewer."""
    (k,) = steps.cells.ks
    same = [retrained.cells.of_columns(order, k) for order in steps.cells.orders]
    out.attribute("step_k", k)
    out.write("step_order", steps.cells.orders)
    out.write_interval("step_gain_mean", mean_interval(steps.gain[:, _REPORT]))
    difference = (steps.accuracy - retrained.accuracy[same])[:, _REPORT]
    out.write_interval("step_difference_mean", mean_interval(difference))
