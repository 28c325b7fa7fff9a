"""Figures of the influences on one target by one recipe, from labelled data alone."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from transferlens.influence import extremes
from transferlens.pictures import figures
from transferlens.pictures.figures import HELP, HURT, SIGNIFICANT

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ESTIMATORS = {
    "least_squares": ("least squares", "#1b7837"),
    "difference_of_means": ("difference of means", "#762a83"),
    "ridge": ("ridge", "#e08214"),
    "lasso": ("LASSO", HURT),
}
MATRIX_CLASSES = 40  # more rows or columns than that cannot be read


def influence_matrix(influence: xr.Dataset) -> "Figure":
    """Class influences on the report half: target classes by source classes; dots where q < 0.05.

    Of many classes, those with the largest influences on the select half are drawn.
    """
    report = _largest(influence, MATRIX_CLASSES).sel(half="report")
    effect, q = report.class_effect, report.class_effect_q.values
    rows, columns = effect.shape
    figure = figures.figure(2.4 + 0.33 * columns, 1.6 + 0.3 * rows)
    axis = figure.subplots()
    limit = float(np.abs(effect).max()) or 1.0
    picture = axis.imshow(effect, cmap=figures.DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
    y, x = np.nonzero(q < SIGNIFICANT)
    axis.plot(x, y, ".", color="black", markersize=3)
    axis.set_xticks(range(columns), effect.source_class.values, rotation=60, ha="right")
    axis.set_yticks(range(rows), effect.target_class.values)
    axis.set(xlabel="source class", ylabel="target class")
    axis.spines[:].set_visible(False)
    figure.colorbar(picture, label=f"influence on {figures.unit(influence.attrs['output'])}")
    return figure


def _largest(influence: xr.Dataset, count: int) -> xr.Dataset:
    """At most `count` classes of either kind, by the mean square of their influences on the select half."""
    for dim, other in (("source_class", "target_class"), ("target_class", "source_class")):
        size = (influence.class_effect.sel(half="select") ** 2).mean(other).values
        influence = influence.isel({dim: np.sort(size.argsort()[::-1][:count])})
    return influence


def strongest_classes(influence: xr.Dataset, count: int) -> "Figure":
    """The most helpful and most harmful source classes overall, each chosen by other models than report it
    (`extremes`), with 95 % intervals.
    """
    if missing := influence.attrs["folds_missing"]:
        return figures.message(missing)
    units = influence.source_class.values
    count = min(count, len(units) // 2)
    harmful, helpful = (
        extremes.of_target(influence, sign, count) for sign in (extremes.HARMFUL, extremes.HELPFUL)
    )
    # From the most harmful place up to the most helpful one.
    places = [(harmful, place) for place in range(count)]
    places += [(helpful, place) for place in reversed(range(count))]
    names = [found.names(0, place, units) for found, place in places]
    effect, low, high = (
        np.array([getattr(found, part)[0, place] for found, place in places])
        for part in ("value", "low", "high")
    )
    figure = figures.figure(6, 0.8 + 0.26 * len(effect))
    axis = figure.subplots()
    colours = [HELP if e > 0 else HURT for e in effect]
    reach = [effect - low, high - effect]
    axis.barh(range(len(effect)), effect, xerr=reach, color=colours, ecolor=figures.ERROR_BARS, height=0.7)
    axis.set_yticks(range(len(effect)), names)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel(f"influence on the mean {figures.unit(influence.attrs['output'])} (bars: 95 %)")
    return figure


def convergence(scores: xr.Dataset) -> "Figure":
    """Predictive correlation and reliability of class influences of every estimator, against the
    models used.
    """
    figure = figures.figure(8.5, 3.2)
    left, right = figure.subplots(1, 2)
    for estimator in scores.estimator.values:
        name, colour = _ESTIMATORS[str(estimator)]
        curve = scores.sel(estimator=estimator).dropna("models", subset=["score"])
        # Scores come from models that predict a held-out fifth: four fifths of the models.
        used = 0.8 * curve.models.values
        left.plot(used, curve.score, "o-", color=colour, label=name, markersize=4)
        left.fill_between(used, curve.score_low, curve.score_high, color=colour, alpha=0.12)
    if "ceiling" in scores:
        left.axhline(float(scores.ceiling), color="black", linestyle="--", linewidth=1, label="ceiling")
        left.axhspan(
            float(scores.ceiling_low), float(scores.ceiling_high), color="black", alpha=0.07, linewidth=0
        )
    left.set(xlabel="models", ylabel="correlation with held-out outputs")
    left.legend(frameon=False, fontsize=8)
    for estimator in scores.estimator.values:
        name, colour = _ESTIMATORS[str(estimator)]
        known = scores.sel(estimator=estimator).dropna("models", subset=["reliability"])
        right.plot(known.models, known.reliability, "o-", color=colour, markersize=4)
        right.fill_between(
            known.models, known.reliability_low, known.reliability_high, color=colour, alpha=0.12
        )
    right.set(
        xlabel="models", ylabel="reliability of class influences", ylim=(min(0, right.get_ylim()[0]), 1.02)
    )
    return figure
