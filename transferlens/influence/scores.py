"""How good an influence estimate is: does it predict models it has not seen, and would it come out again?

* The score of an estimator is the correlation, over held-out models, of predicted and actual outputs of an
  example, averaged over examples (linear datamodeling score, Park et al. 2023; Pearson's here). A model's
  prediction adds up the effects of the units it saw.
* Its ceiling is what a perfect prediction of the mean would reach: the square root of the correlation between
  models that saw the same units but started from other seeds.
* The reliability of the estimates is the correlation over units of estimates from two halves of the models,
  corrected to the full number (Spearman 1910, Brown 1910).

Draws of masks (models, or complementary pairs of models) are the units of resampling throughout.
"""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import artefacts, job
from transferlens.core.errors import ConfigError
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import Interval, jackknife_interval
from transferlens.estimation import estimators
from transferlens.influence.artefacts import SCORES, SHARES
from transferlens.influence.estimate import ModelMeans
from transferlens.training import outputs as stored
from transferlens.training import summary as summaries
from transferlens.training.artefacts import SUMMARY

_FOLDS = 5
_SPLITS, _GROUPS = 8, 10
# Examples that scores are averaged over, evenly spaced among all.
_EXAMPLES = 128
_WANTED_RELIABILITY = 0.9
_SLOW = ("lasso",)  # scored once, left out of the convergence curve


@dataclass(frozen=True)
class Outputs:
    """Outputs to be predicted: masks bool[models, units] and float32[models, examples]."""

    masks: np.ndarray
    values: np.ndarray

    def rows(self, chosen: np.ndarray) -> "Outputs":
        """The outputs of some models."""
        return Outputs(self.masks[chosen], self.values[chosen])


def write_scores(
    path: Path,
    summary_path: Path,
    repeated_path: Path | None,
    output: str,
    estimator: str,
    names: list[str],
) -> None:
    """Score estimators on one output, and follow the reported one as models are added.

    Args:
        repeated_path: summary of the study that repeats the first masks with other seeds (None: no ceiling).
        estimator: the estimator whose influences are reported; `names`: all that are compared.
    """
    outputs, class_means = _read_outputs(summary_path, output)
    models = len(outputs.masks)
    sizes = _sizes(models)
    with artefacts.create(path, SCORES) as out:
        out.write("estimator", names)
        out.write("models", sizes)
        out.attribute("reported_estimator", estimator)
        out.attribute("examples", outputs.values.shape[1])
        scored = [
            [score(outputs, name, share, name in _SLOW) for share in SHARES]
            for name in job.progress(names, "score", "estimators")
        ]
        _write_intervals(out, "score", scored)
        if repeated_path:
            with artefacts.open(repeated_path, SUMMARY) as file:
                again = estimators.sample_columns(stored.Output(file, output), _EXAMPLES)
            _write_intervals(out, "ceiling", ceiling(outputs, again))
        reliable = [
            [NOTHING if name in _SLOW else reliability(class_means, name, size) for size in sizes]
            for name in names
        ]
        _write_intervals(out, "reliability", reliable)
        needed = [models_needed(of_estimator[-1], models) for of_estimator in reliable]
        _write_intervals(out, "models_needed", needed)


def _read_outputs(summary_path: Path, output: str) -> tuple[Outputs, Outputs]:
    """A sample of examples, and the report half's means of target classes, of every model."""
    with artefacts.open(summary_path, SUMMARY) as file:
        summary = summaries.read_summary(file)
        masks, values = summary.rows.masks, stored.Output(file, output)
        sample = Outputs(masks, estimators.sample_columns(values, _EXAMPLES))
        means = ModelMeans(len(summary.rows), summary)
        with ThreadPoolExecutor(1) as disk:
            for block, part in estimators.blocks(values, disk):
                means.add(block, part)
        return sample, Outputs(masks, means.by_class()[:, 1])


def _write_intervals(out: artefacts.Writer, name: str, intervals: object) -> None:
    """Store intervals, alone or in nested lists, as an estimate with its ends."""
    for key, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
        values = np.vectorize(lambda i, key=key: float(getattr(i, key)))(np.array(intervals, object))
        out.write(f"{name}{suffix}", values)


def _sizes(models: int) -> list[int]:
    return [round(models * share / 2) * 2 for share in SHARES]


NOTHING = Interval(np.nan, np.nan, np.nan)


def score(outputs: Outputs, name: str, share: float, only_whole: bool) -> Interval:
    """Mean over examples of the correlation of predicted and actual outputs of held-out models.

    Five folds of draws: each is predicted from `share` of the others. Outputs are compared within their fold.
    The interval is a jackknife over held-out draws.

    Args:
        only_whole: give nothing (NaN) for a share below one.
    """
    if only_whole and share < 1:
        return NOTHING
    fold, draws = estimators.fold_of_rows(outputs.masks, _FOLDS), estimators.independent_rows(outputs.masks)
    predicted, actual = np.empty_like(outputs.values, np.float64), np.empty_like(outputs.values, np.float64)
    for f in range(_FOLDS):
        held, rest = fold == f, np.flatnonzero(fold != f)
        kept = outputs.rows(rest[draws[rest] <= np.quantile(draws[rest], share)])
        try:
            coefficients = _coefficients(kept, name)
        except ConfigError:  # too few models for this estimator
            return NOTHING
        guess = outputs.masks[held].astype(np.float64) @ coefficients.T
        predicted[held] = guess - guess.mean(0)
        actual[held] = outputs.values[held] - outputs.values[held].mean(0, dtype=np.float64)
    return mean_correlation(predicted, actual, draws)


def _coefficients(outputs: Outputs, name: str) -> np.ndarray:
    """Effects float[examples, units] by the named estimator."""
    fitted = estimators.make(name, outputs.masks, outputs.values)
    return fitted.coefficients(outputs.values)


def mean_correlation(x: np.ndarray, y: np.ndarray, draws: np.ndarray) -> Interval:
    """Mean over columns of the correlations of two centred arrays [models, examples].

    Columns without any spread are left out. The interval leaves out one draw (int64[models]) at a time.
    """
    products = [estimators.sums_by_draw(p, draws) for p in (x * y, x * x, y * y)]
    totals = [p.sum(0) for p in products]
    varying = (totals[1] > 0) & (totals[2] > 0)
    if not varying.any():
        return NOTHING

    def mean(xy: np.ndarray, xx: np.ndarray, yy: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.nanmean((xy / np.sqrt(xx * yy))[..., varying], axis=-1)

    without = mean(*(t - p for t, p in zip(totals, products, strict=True)))
    return jackknife_interval(float(mean(*totals)), without)


def ceiling(outputs: Outputs, again: np.ndarray) -> Interval:
    """The correlation with single models' outputs that a perfect prediction of their mean would have.

    Args:
        again: float[models, examples], outputs of the first masks trained again with other seeds.
    """
    first = outputs.rows(np.arange(len(again)))
    x, y = (v - v.mean(0, dtype=np.float64) for v in (first.values, again))
    agreement = mean_correlation(x, y, estimators.independent_rows(first.masks))
    return Interval(*(np.sqrt(np.maximum(getattr(agreement, k), 0)) for k in ("value", "low", "high")))


def reliability(means: Outputs, name: str, models: int) -> Interval:
    """Split-half reliability of the influences on target classes from the first `models` models.

    Random halves of the draws; the correlation over units, averaged over target classes and splits, corrected
    to the full number of models. The interval is a jackknife over ten groups of draws.
    """
    means = means.rows(np.arange(models))
    draws = estimators.independent_rows(means.masks)
    group = estimators.fold_of_rows(means.masks, _GROUPS)
    halves = _halves(draws)
    try:
        value = _split_half(means, name, halves, np.ones(models, bool))
        without = [_split_half(means, name, halves, group != g) for g in range(_GROUPS)]
    except ConfigError:  # too few models for this estimator in half of them
        return NOTHING
    return _within(jackknife_interval(value, np.array(without)), -1, 1)


def _halves(draws: np.ndarray) -> np.ndarray:
    """Random divisions of the draws into two halves: bool[splits, rows], whether a row is in the first."""
    distinct = np.unique(draws)
    firsts = [
        rng_for("split-half", split, len(distinct)).permutation(distinct)[: len(distinct) // 2]
        for split in range(_SPLITS)
    ]
    return np.array([np.isin(draws, first) for first in firsts])


def _split_half(means: Outputs, name: str, halves: np.ndarray, kept: np.ndarray) -> float:
    """Mean agreement of two halves of the kept rows over the divisions, corrected to all of them."""
    agreements = [
        _agreement(*(_coefficients(means.rows(half & kept), name) for half in (first, ~first)))
        for first in halves
    ]
    half = float(np.mean(agreements))
    return 2 * half / (1 + half)


def _agreement(one: np.ndarray, other: np.ndarray) -> float:
    """Correlation over units of two estimates [outputs, units], averaged over the outputs."""
    x, y = (e - e.mean(1, keepdims=True, dtype=np.float64) for e in (one, other))
    spread = np.sqrt((x**2).sum(1) * (y**2).sum(1))
    return float(np.mean((x * y).sum(1)[spread > 0] / spread[spread > 0])) if (spread > 0).any() else 0.0


def models_needed(reliability: Interval, models: int) -> Interval:
    """Models for a reliability of 0.9, from that of `models` models (Spearman-Brown); infinite below zero."""

    def needed(r: float) -> float:
        odds = _WANTED_RELIABILITY / (1 - _WANTED_RELIABILITY)
        return np.inf if r <= 0 else models * odds * (1 - r) / r

    return Interval(needed(reliability.value), needed(reliability.high), needed(reliability.low))


def _within(interval: Interval, low: float, high: float) -> Interval:
    return Interval(*(float(np.clip(getattr(interval, k), low, high)) for k in ("value", "low", "high")))
