"""Influences of source classes on a score: does it see which class is missing?

The regression that tells what a source class adds to a model's outputs tells as well what it adds to a score.
Effects on the score and on the accuracy of the same models share the models' chance, and would agree if
neither knew anything of classes: so one fold of the draws tells of the score, the other of the accuracy, and
both ways are averaged. What two folds of the accuracy itself agree on stands beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.core import artefacts
from transferlens.core.artefacts import Writer
from transferlens.core.errors import ConfigError
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import (
    Interval,
    correlation_interval,
    holm,
    jackknife_interval,
    permutation_p,
    q_values,
    t_interval,
)
from transferlens.estimation import crossfit, estimators
from transferlens.estimation.estimators import Effects
from transferlens.estimation.fold_correlations import FEWEST_UNITS, correlation, exchanged
from transferlens.transferability.artefacts import CLASS_EFFECTS
from transferlens.transferability.candidates import STATIC, Ranker, Transferred, write_rankers

# The static rankers that are no sums over the classes a model saw.
_STATIC_WITH_EFFECTS = ("source accuracy", "other targets")


def with_effects(rankers: Sequence[Ranker]) -> list[Ranker]:
    """Those that may or may not see which class is missing."""
    return [ranker for ranker in rankers if ranker.sort != STATIC or ranker.name in _STATIC_WITH_EFFECTS]


@dataclass(frozen=True)
class Outputs:
    """Scores and accuracies of models trained on random subsets of source classes.

    Attributes:
        masks: bool[models, units].
        values: float64[models, 1 + rankers], accuracies first; of what has effects.
        estimator: asked for.
    """

    masks: np.ndarray
    values: np.ndarray
    estimator: str


def write_effects(
    path: Path, rankers: Sequence[Ranker], influence: Transferred, settings: dict, units: list[str]
) -> None:
    """Estimate and store influences on rankers, and their agreement with those on accuracy.

    Args:
        rankers: with values of the models of study influence alone, in the order of `influence`.
    """
    missing = [why_no_effects(ranker.values, len(units)) for ranker in rankers]
    known = [i for i, why in enumerate(missing) if not why]
    values = np.stack([influence.accuracy, *(standardised(rankers[i].values) for i in known)], axis=1)
    outputs = Outputs(influence.rows.masks, values, settings["estimator"])
    estimator, effects = all_effects(outputs)
    folds, fold_estimator, folds_missing = effects_by_fold(outputs)
    agreement = [NOTHING] * (1 + len(known))
    if folds is not None:
        rng = rng_for(settings["seed"], "influences on scores")
        agreement = [agree(folds, i, settings["permutations"], rng) for i in range(folds.shape[1])]
    with artefacts.create(path, CLASS_EFFECTS) as out:
        out.write("unit", units)
        write_rankers(out, rankers)
        out.write("missing", missing)
        _write_effects(out, effects, known, len(rankers))
        _write_agreement(out, agreement, known, rankers)
        for name, value in (
            ("models", len(influence.rows)),
            ("estimator", estimator),
            ("fold_estimator", fold_estimator),
            ("folds_missing", folds_missing),
        ):
            out.attribute(name, value)


def why_no_effects(values: np.ndarray, units: int) -> str:
    """Why what ranks models has no effects of classes; '' where it has."""
    unknown = int((~np.isfinite(values)).sum())
    if unknown:
        return f"unknown for {unknown} of {len(values)} models"
    if units < FEWEST_UNITS:
        return f"{units} source classes, fewer than {FEWEST_UNITS}"
    return "" if np.ptp(values) else "the same for all models"


def standardised(values: np.ndarray) -> np.ndarray:
    """In standard deviations over models."""
    return (values - values.mean()) / values.std(ddof=1)


def all_effects(outputs: Outputs) -> tuple[str, Effects]:
    """The estimator, and effects of all models: as asked; differences of means where models are few."""
    name = outputs.estimator
    try:
        made = estimators.make(name, outputs.masks, outputs.values)
    except ConfigError:
        name = "difference_of_means"
        made = estimators.make(name, outputs.masks, outputs.values)
    return name, made.effects(outputs.values.astype(np.float64))


def effects_by_fold(outputs: Outputs) -> tuple[np.ndarray | None, str, str]:
    """Effects float64[folds, outputs, units] of disjoint draws, their estimator, and why there are none."""
    try:
        folds = crossfit.divide(outputs.masks, outputs.estimator)
    except ConfigError as error:
        return None, "", str(error)
    made = []
    for fold in range(crossfit.FOLDS):
        own = folds.of_model == fold
        estimator = estimators.make(folds.estimator, outputs.masks[own], outputs.values[own])
        made.append(estimator.coefficients(outputs.values[own].astype(np.float64)))
    return np.array(made, np.float64), folds.estimator, ""


@dataclass(frozen=True)
class Agreement:
    """What effects on a score and on accuracy agree on.

    Attributes:
        correlation: rank correlation over units, one fold of each; p of classes exchanged at random.
        of_reachable: as a share of the root of the accuracy's own agreement.
        reliability: rank correlation of the score's own effects from both folds.
    """

    correlation: Interval
    p: float
    of_reachable: Interval
    reliability: Interval


_UNKNOWN = Interval(*[np.float64(np.nan)] * 3)
NOTHING = Agreement(_UNKNOWN, np.nan, _UNKNOWN, _UNKNOWN)


def agree(folds: np.ndarray, output: int, permutations: int, rng: np.random.Generator) -> Agreement:
    """Agreement of the effects on an output with those on the accuracy.

    Args:
        folds: float64[2, outputs, units], the accuracy first.

    Intervals are jackknives over units, of correlations on Fisher's scale.
    """
    score, accuracy = folds[:, output], folds[:, 0]
    kept = [np.ones(score.shape[1], bool), *~np.eye(score.shape[1], dtype=bool)]
    crossed, own, ceiling = (
        np.array([float(correlation(one[:, k], other[:, k])) for k in kept])
        for one, other in ((score, accuracy), (score, score), (accuracy, accuracy))
    )
    root = np.sqrt(np.maximum(ceiling, 0))
    share = np.divide(crossed, root, out=np.full(len(root), np.nan), where=root > 0)
    null = exchanged(score, accuracy, permutations, rng)
    tails = permutation_p(crossed[0], null), permutation_p(-crossed[0], -null)
    return Agreement(
        _correlation_interval(crossed),
        min(1.0, 2 * float(min(tails))),
        _interval(share),
        _correlation_interval(own),
    )


def _interval(values: np.ndarray) -> Interval:
    return jackknife_interval(values[0], values[1:])


def _correlation_interval(values: np.ndarray) -> Interval:
    """On Fisher's scale."""
    return correlation_interval(values[0], values[1:])


def _write_effects(out: Writer, effects: Effects, places: list[int], rankers: int) -> None:
    """Effects with errors; q is over all cells of the scores, and over the units of the accuracy."""
    parts = _parts(effects)
    for name, values in parts.items():
        whole = np.full((rankers, values.shape[1]), np.nan)
        whole[places] = values[1:]
        out.write(f"effect{name}", whole)
        out.write(f"accuracy_effect{name}", values[0])


def _parts(effects: Effects) -> dict[str, np.ndarray]:
    interval, p = t_interval(effects.effect, effects.se, effects.df), effects.p()
    q = np.concatenate([q_values(p[:1]), q_values(p[1:])])
    return {
        "": effects.effect,
        "_se": effects.se,
        "_low": interval.low,
        "_high": interval.high,
        "_p": p,
        "_q": q,
    }


def _write_agreement(
    out: Writer, agreement: list[Agreement], places: list[int], rankers: Sequence[Ranker]
) -> None:
    of_rankers = [NOTHING] * len(rankers)
    for place, found in zip(places, agreement[1:], strict=True):
        of_rankers[place] = found
    for name in ("correlation", "of_reachable", "reliability"):
        for part, end in _ENDS:
            out.write(f"{name}{end}", [float(getattr(getattr(of, name), part)) for of in of_rankers])
    for part, end in _ENDS:
        out.write(f"ceiling{end}", float(getattr(agreement[0].correlation, part)))
    p = np.array([of.p for of in of_rankers])
    scores = np.array([ranker.sort != STATIC for ranker in rankers])
    out.write("correlation_p", p)
    out.write("p_holm", holm(np.where(scores, p, np.nan)))


_ENDS = (("value", ""), ("low", "_low"), ("high", "_high"))


def table(made: xr.Dataset) -> pd.DataFrame:
    """A row for every ranker and source class."""
    names = [name for name, values in made.data_vars.items() if values.dims == ("ranker", "unit")]
    ranker, unit = np.meshgrid(made.ranker.values, made.unit.values, indexing="ij")
    columns = {str(name): made[name].values.ravel() for name in names}
    accuracy = np.tile(made.accuracy_effect.values, made.sizes["ranker"])
    given = {"ranker": ranker.ravel(), "source_class": unit.ravel(), **columns, "accuracy_effect": accuracy}
    return pd.DataFrame(given)
