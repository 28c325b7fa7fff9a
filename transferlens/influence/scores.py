"""How good an influence estimate is: does it predict models it has not seen?

* The score of an estimator is the correlation, over held-out models, of predicted and actual outputs on
  single examples (linear datamodeling score, Park et al. 2023; Pearson's here). A model's prediction adds up
  the effects of the units it saw. Every example is centred and brought to unit variance, and then one
  correlation is taken over all models and examples: unlike a mean of correlations, it has a ceiling that few
  repeated models tell without a bias.
* That ceiling is what a perfect prediction of the mean would reach: the square root of the correlation,
  taken the same way, between models that saw the same units but started from other seeds.
* The reliability of the estimates has a module of its own.

Draws of masks (models, or complementary pairs of models) are the units of resampling throughout.
"""

from pathlib import Path

import numpy as np

from transferlens.core import artefacts, job
from transferlens.core.errors import ConfigError
from transferlens.core.statistics import Interval, jackknife_interval
from transferlens.estimation import estimators
from transferlens.influence.artefacts import SCORES, SHARES
from transferlens.influence.estimate import model_means
from transferlens.influence.reliability import models_needed, reliability
from transferlens.influence.resampling import NOTHING, Outputs, ratio_interval
from transferlens.training import outputs as stored
from transferlens.training import summary as summaries
from transferlens.training.artefacts import SUMMARY

_FOLDS = 5
# Examples that scores are taken over, evenly spaced among all.
_EXAMPLES = 128
_SLOW = ("lasso",)  # scored once, without an interval: it would have to be fitted again and again


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
        out.write_interval("score", scored)
        if repeated_path:
            with artefacts.open(repeated_path, SUMMARY) as file:
                again = estimators.sample_columns(stored.Output(file, output), _EXAMPLES)
            out.write_interval("ceiling", ceiling(outputs, again))
        reliable = [
            [NOTHING if name in _SLOW else reliability(class_means, name, size) for size in sizes]
            for name in names
        ]
        out.write_interval("reliability", reliable)
        needed = [NOTHING if name in _SLOW else models_needed(class_means, name) for name in names]
        out.write_interval("models_needed", needed)


def _read_outputs(summary_path: Path, output: str) -> tuple[Outputs, Outputs]:
    """A sample of examples, and the report half's means of target classes, of every model."""
    with artefacts.open(summary_path, SUMMARY) as file:
        summary = summaries.read_summary(file)
        masks, values = summary.rows.masks, stored.Output(file, output)
        sample = Outputs(masks, estimators.sample_columns(values, _EXAMPLES))
        return sample, Outputs(masks, model_means(summary, values).by_class()[:, 1])


def _sizes(models: int) -> list[int]:
    return [round(models * share / 2) * 2 for share in SHARES]


def score(outputs: Outputs, name: str, share: float, slow: bool) -> Interval:
    """Correlation of predicted and actual outputs of held-out models.

    Five folds of draws: each is predicted from `share` of the others. Outputs are compared within their fold.
    The interval is over draws of all models: of those predicted from, and of those predicted.

    Args:
        slow: give no interval, and nothing (NaN) for a share below one.
    """
    scaled = unit_variance(outputs)
    if scaled is None or (slow and share < 1):
        return NOTHING
    draws = estimators.independent_rows(outputs.masks)
    fold = estimators.fold_of_rows(outputs.masks, _FOLDS)
    # What each fold is predicted from, bool[folds, models].
    learnt = [(fold != f) & (draws <= np.quantile(draws[fold != f], share)) for f in range(_FOLDS)]

    def ratio(kept: np.ndarray, values: np.ndarray) -> tuple[float, float]:
        sums = np.zeros(3)
        for f in range(_FOLDS):
            held = (fold == f) & kept
            if held.any():
                sums += _products(Outputs(scaled.masks, values), learnt[f] & kept, held, name)
        return sums[0], float(np.sqrt(sums[1] * sums[2]))

    if not slow:
        return ratio_interval(scaled, ratio)
    try:
        return Interval(np.divide(*ratio(np.ones(len(draws), bool), scaled.values)), np.nan, np.nan)
    except ConfigError:  # too few models for this estimator
        return NOTHING


def unit_variance(outputs: Outputs) -> Outputs | None:
    """Outputs centred, with unit variance over models; constant ones are left out. None if all are."""
    values = outputs.values - outputs.values.mean(0, dtype=np.float64)
    spread = values.std(0)
    varying = spread > 0
    if not varying.any():
        return None
    return Outputs(outputs.masks, (values[:, varying] / spread[varying]).astype(np.float32))


def _products(outputs: Outputs, learnt: np.ndarray, held: np.ndarray, name: str) -> np.ndarray:
    """Sums over held-out models and outputs of predicted times actual values and of the square of either."""
    known = outputs.rows(learnt)
    effects = estimators.make(name, known.masks, known.values).coefficients(known.values)
    predicted = outputs.masks[held].astype(np.float64) @ effects.T
    predicted -= predicted.mean(0)
    actual = outputs.values[held] - outputs.values[held].mean(0, dtype=np.float64)
    return np.array([np.sum(predicted * actual), np.sum(predicted**2), np.sum(actual**2)])


def ceiling(outputs: Outputs, again: np.ndarray) -> Interval:
    """The correlation with single models' outputs that a perfect prediction of their mean would have.

    Both sets of models are centred and scaled by the whole study: centred by the few that are repeated,
    masks that balance each other would seem to differ more than they do. The interval leaves out one draw at
    a time.

    Args:
        again: float[models, examples], outputs of the first masks trained again with other seeds.
    """
    mean, spread = outputs.values.mean(0, dtype=np.float64), outputs.values.std(0, dtype=np.float64)
    varying = spread > 0
    first = outputs.rows(np.arange(len(again)))
    x, y = ((v[:, varying] - mean[varying]) / spread[varying] for v in (first.values, again))
    draws = estimators.independent_rows(first.masks)
    products = np.array([estimators.sums_by_draw(p, draws).sum(1) for p in (x * y, x * x, y * y)])
    totals = products.sum(1)
    if not totals[1:].all():
        return NOTHING

    def correlation(xy: np.ndarray, xx: np.ndarray, yy: np.ndarray) -> np.ndarray:
        return xy / np.sqrt(xx * yy)

    agreement = jackknife_interval(correlation(*totals), correlation(*(totals[:, None] - products)))
    ends = (getattr(agreement, key) for key in ("value", "low", "high"))
    return Interval(*(float(np.sqrt(np.clip(end, 0, 1))) for end in ends))
