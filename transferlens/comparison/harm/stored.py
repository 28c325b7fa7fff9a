"""What is told of harm by recipe: worked out from summaries and answers, stored, and as a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.comparison.harm import effects, interference
from transferlens.comparison.harm.artefacts import HARM, INTERFERENCE_ANSWERS, QUANTITIES
from transferlens.comparison.harm.effects import Harmful, Told
from transferlens.comparison.harm.interference import Answered
from transferlens.core import artefacts
from transferlens.core.errors import ArtefactError, ConfigError
from transferlens.core.statistics import holm
from transferlens.estimation import crossfit, estimators
from transferlens.training.reading import image_weights

_NO_AREA = "an area under the ROC curve is no mean over images, so that there is no interval over these"


@dataclass(frozen=True)
class Answers:
    """What the models of the study say under one recipe.

    Attributes:
        select: float64[models], accuracy on the select half.
        report: float64[models, images], whether images of the report half are right; accuracy alone,
            float64[models, 1], where that is no mean over images.
        weights: float64[images], what each counts.
        models: int64[models], row numbers.
        masks: bool[models, units].
    """

    select: np.ndarray
    report: np.ndarray
    weights: np.ndarray
    models: np.ndarray
    masks: np.ndarray


def answers_of(summary: xr.Dataset) -> Answers:
    """Those of a summary with `correct`."""
    select, accuracy = (summary.accuracy.sel(half=half).values for half in ("select", "report"))
    models = summary.model.values, summary["mask"].values
    if summary.metric == "auroc":
        return Answers(select, accuracy[:, None], np.ones(1), *models)
    report = summary.example_half.values == "report"
    weights = image_weights(summary.example_class.values[report], summary.metric)
    return Answers(select, summary.correct.values[:, report].astype(np.float64), weights, *models)


def harmful(of_recipes: Sequence[Answers], count: int, estimator: str) -> tuple[Harmful | None, str]:
    """The most harmful units under the first recipe and what they do under each; or why that is not told.

    Args:
        count: units that each fold chooses.
        estimator: of influences; the folds' is as near to it as their numbers allow.
    """
    plain = of_recipes[0]
    try:
        folds = crossfit.divide(plain.masks, estimator)
    except ConfigError as reason:
        return None, str(reason)
    classes = effects.choose(plain.masks, plain.select, folds, count)
    report = [of.report for of in of_recipes]
    found = effects.report(plain.masks, report, plain.weights, folds, classes)
    return found, _NO_AREA if len(plain.weights) == 1 else ""


def interfering(paths: Sequence[Path], masks: np.ndarray) -> tuple[Told | None, int, str]:
    """Seen minus unseen under every recipe, or why it is not told; and the number of composites.

    Args:
        paths: answers to composites, the plain recipe's first.
        masks: bool[models, units] of the same models.
    """
    drops = []
    for path in paths:
        with artefacts.open(path, INTERFERENCE_ANSWERS) as file:
            if file.attrs["skipped"]:
                return None, 0, file.attrs["skipped"]
            seen = file["mask"][:]
            images = [artefacts.names(file[name]) for name in ("background", "overlay")]
            drops.append(file["drop"][:])
    if not interference.counted(seen).any():
        return None, seen.shape[1], "no source class was seen by two models and left out of two"
    found = interference.compare(Answered(seen, drops, *images), estimators.is_fold_over(masks))
    return found, seen.shape[1], ""


def write(
    path: Path, summaries: Mapping[str, xr.Dataset], answers: Sequence[Path], settings: Mapping[str, Any]
) -> None:
    """Work out and store what harmful classes do.

    Args:
        summaries: by recipe, with `correct`; the plain recipe's first.
        answers: to composites, of the same recipes.
        settings: `harmful` and `estimator`.
    """
    plain = next(iter(summaries.values()))
    of_recipes = [answers_of(summary) for summary in summaries.values()]
    _require_same_models(of_recipes)
    found, effect_missing = harmful(of_recipes, settings["harmful"], settings["estimator"])
    told, composites, interference_missing = interfering(answers, of_recipes[0].masks)
    with artefacts.create(path, HARM) as out:
        out.attribute("metric", plain.metric)
        out.attribute("models", plain.sizes["model"])
        out.attribute("images", int((plain.example_half.values == "report").sum()))
        out.attribute("composites", composites)
        out.attribute("effect_missing", effect_missing)
        out.attribute("interference_missing", interference_missing)
        out.write("recipe", list(summaries))
        _write_classes(out, found, plain.unit.values, len(summaries))
        nothing = Told(*np.full((4, 2, len(summaries)), np.nan))
        _write_told(out, "effect", found.mean if found else nothing)
        _write_told(out, "interference", told or nothing)


def _require_same_models(of_recipes: Sequence[Answers]) -> None:
    if any(not np.array_equal(of.models, of_recipes[0].models) for of in of_recipes):
        raise ArtefactError(
            "summaries of study influence hold other models recipe by recipe; delete them and run snakemake "
            "again"
        )


def _write_classes(out: artefacts.Writer, found: Harmful | None, units: np.ndarray, recipes: int) -> None:
    classes = found.classes if found else np.zeros((crossfit.FOLDS, 0), np.int64)
    single = found.of_class if found else np.full((3, recipes, *classes.shape), np.nan)
    out.write("fold", ["first", "second"])
    out.write("harmful_class", units.astype(object)[classes])
    for suffix, values in zip(("", "_low", "_high"), single, strict=True):
        out.write(f"class_effect{suffix}", values)


def _write_told(out: artefacts.Writer, name: str, told: Told) -> None:
    for i, of in enumerate((name, f"{name}_difference")):
        for part in ("value", "low", "high", "p"):
            out.write(of if part == "value" else f"{of}_{part}", getattr(told, part)[i])
    out.write(f"{name}_difference_holm", holm(told.p[1]))


def table(harm: xr.Dataset) -> pd.DataFrame:
    """One row for every recipe and quantity, then for every recipe and class that was chosen.

    Returns:
        recipe, quantity, fold and source_class ('' of quantities), value, low, high, p, p after Holm.
    """
    return pd.DataFrame([*_quantity_rows(harm), *_class_rows(harm)])


def _quantity_rows(harm: xr.Dataset) -> Iterator[dict[str, Any]]:
    for i, recipe in enumerate(harm.recipe.values):
        for name in QUANTITIES:
            for of in (name, f"{name}_difference"):
                row = {"recipe": recipe, "quantity": of, "fold": "", "source_class": ""}
                parts = {"value": of, **{part: f"{of}_{part}" for part in ("low", "high", "p", "holm")}}
                yield row | {k: float(harm[v][i]) if v in harm else np.nan for k, v in parts.items()}


def _class_rows(harm: xr.Dataset) -> Iterator[dict[str, Any]]:
    for i, fold, rank in np.ndindex(harm.class_effect.shape):
        names = {
            "recipe": harm.recipe.values[i],
            "quantity": "class_effect",
            "fold": harm.fold.values[fold],
            "source_class": harm.harmful_class.values[fold, rank],
        }
        ends = {"value": "class_effect", "low": "class_effect_low", "high": "class_effect_high"}
        yield names | {k: float(harm[v][i, fold, rank]) for k, v in ends.items()}
