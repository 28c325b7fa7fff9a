"""A comparison as it is stored, and as a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.comparison.compared import words
from transferlens.comparison.compared.answers import Compared
from transferlens.comparison.compared.artefacts import COMPARISON, MEASURES
from transferlens.comparison.compared.estimates import (
    Estimates,
    by_class,
    by_corruption,
    compare,
    forgetting,
    mean_forgetting,
)
from transferlens.comparison.compared.quantities import Told, student
from transferlens.comparison.compared.recommended import Recommendation, recommend
from transferlens.comparison.tuning.artefacts import CHOICE, PUBLISHED
from transferlens.core import artefacts, labelled

# Ends of an estimate's name, and what they hold.
_PARTS = {"": "value", "_low": "low", "_high": "high", "_p": "p"}
_COLUMNS = {
    "value": "value",
    "low": "value_low",
    "high": "value_high",
    "difference": "difference",
    "difference_low": "difference_low",
    "difference_high": "difference_high",
    "p": "difference_p",
    "p_holm": "difference_holm",
    "missing": "missing",
    "difference_missing": "difference_missing",
}


@dataclass(frozen=True)
class Tuned:
    """What tuning says of a contestant.

    Attributes:
        held_out_accuracy: of the chosen trial.
        published: accuracy as the published protocol prints it; NaN where it was not tried.
        optimism: that minus the accuracy of the last epoch with the network's own head.
    """

    held_out_accuracy: float
    published: float = np.nan
    optimism: Told = Told()  # noqa: RUF009 (it is frozen)


def read_tuned(choice: Path, published: Path | None) -> Tuned:
    """Of one contestant.

    Args:
        published: None where the published protocol was not tried.
    """
    made = labelled.read(choice, CHOICE)
    held_out = float(made.accuracy.values[made.chosen.values].mean())
    if published is None:
        return Tuned(held_out)
    accuracy = labelled.read(published, PUBLISHED).accuracy.values
    best, last = accuracy.max((1, 2)), accuracy[:, -1, 0]
    return Tuned(held_out, float(best.mean()), student(best - last))


def write(path: Path, compared: Compared, tuned: Sequence[Tuned], settings: Mapping[str, Any]) -> None:
    """Compare everything on a target, and store it.

    Args:
        tuned: of each contestant.
        settings: of the step, with `train_images` of the target.
    """
    estimates, recommendation = compare(compared), recommend(compared, settings["seed"])
    with artefacts.create(path, COMPARISON) as out:
        _write_names(out, compared, settings["left_out"])
        _write_estimates(out, estimates)
        _write_parts(out, compared, settings["probed"])
        _write_recommendation(out, recommendation)
        out.write("held_out_accuracy", [one.held_out_accuracy for one in tuned])
        out.write("published", [one.published for one in tuned])
        _write_told(out, "optimism", [one.optimism for one in tuned], ("", "_low", "_high"))
        worst = compared.worst_class()
        report = compared.plain.correct["report"]
        for name, value in {
            "metric": compared.metric,
            "models": len(report),
            "images": report.shape[1],
            "train_images": settings["train_images"],
            "worst_class": "" if worst is None else compared.classes[worst],
            "chosen_gain_missing": recommendation.chosen_gain.missing,
            "recommended": compared.contestants[recommendation.best].name,
            "why": words.why(compared, estimates, recommendation),
            "surer": words.surer(compared, recommendation),
        }.items():
            out.attribute(name, value)


def _write_names(out: artefacts.Writer, compared: Compared, left_out: Mapping[str, str]) -> None:
    for name, attribute in (("recipe", "name"), ("base", "base"), ("from_scratch", "from_scratch")):
        out.write(name, [getattr(one, attribute) for one in compared.contestants])
    out.write("measure", list(MEASURES))
    out.write("left_out", list(left_out))
    out.write("left_out_reason", list(left_out.values()))
    out.write("target_class", compared.classes)


def _write_told(out: artefacts.Writer, name: str, told: Any, ends: Sequence[str] = tuple(_PARTS)) -> None:
    """Numbers (nested lists of them, or one) with the parts of their name that end so."""
    for end in ends:
        out.write(name + end, _each(told, _PARTS[end]))


def _each(told: Any, attribute: str) -> Any:
    if isinstance(told, list):
        return [_each(one, attribute) for one in told]
    return getattr(told, attribute)


def _write_estimates(out: artefacts.Writer, estimates: Estimates) -> None:
    _write_told(out, "value", estimates.told, ("", "_low", "_high"))
    _write_told(out, "difference", estimates.differences)
    out.write("difference_holm", estimates.holm)
    out.write("missing", _each(estimates.told, "missing"))
    out.write("difference_missing", _each(estimates.differences, "missing"))


def _write_parts(out: artefacts.Writer, compared: Compared, probed: Sequence[str]) -> None:
    """By class, by data set that is probed, by corruption."""
    ones, ends = compared.contestants, ("", "_low", "_high")
    _write_told(out, "class_accuracy", [list(by_class(one, compared)) for one in ones], ends)
    out.write("probed", list(probed))
    changes = [
        [forgetting(one.forgetting[name]).told() if name in one.forgetting else Told() for name in probed]
        for one in ones
    ]
    _write_told(out, "forgetting", changes, ends)
    _write_told(out, "mean_forgetting", [mean_forgetting(one).told() for one in ones], ends)
    for name in ("corruption", "severity"):
        out.write(name, compared.plain.measures[name].values)
    out.write("corrupted", np.stack([by_corruption(one, compared) for one in ones]))


def _write_recommendation(out: artefacts.Writer, made: Recommendation) -> None:
    for name in ("chosen_accuracy", "best_share", "ahead_holm", "told_apart", "chosen_by_others"):
        out.write(name, getattr(made, name))
    _write_told(out, "ahead", made.ahead)
    _write_told(out, "chosen_gain", made.chosen_gain)


def table(made: xr.Dataset) -> pd.DataFrame:
    """One row for every recipe and measure of a comparison."""
    return pd.DataFrame(_rows(made))


def _rows(made: xr.Dataset) -> Iterator[dict[str, Any]]:
    values = {column: made[name].values for column, name in _COLUMNS.items()}
    for i, recipe in enumerate(made.recipe.values):
        for j, measure in enumerate(made.measure.values):
            cells = {column: of[i, j] for column, of in values.items()}
            yield {"recipe": recipe, "measure": measure, **cells}
