"""Pictures of scores: how well they order candidates, and what they see of source classes."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from transferlens.pictures import figures
from transferlens.transferability.candidates import SCORE, STATIC
from transferlens.transferability.measures import MAIN
from transferlens.transferability.settings import family

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STYLES = {SCORE: (figures.BLUE, "o"), STATIC: (figures.ORANGE, "s"), "bound": (figures.GREEN, "D")}
_FAMILIES = {
    "reference": (figures.BLACK, "^"),
    "influence": (figures.SKY_BLUE, "o"),
    "counterfactual": (figures.ORANGE, "s"),
    "pretrained": (figures.PURPLE, "D"),
    "encoders": (figures.GREEN, "v"),
}
_COLUMNS = 4
_SHOWN_UNITS = 60  # columns of a matrix that can be told apart


def ranking(made: xr.Dataset) -> "Figure":
    """The weighted tau of every ranker with its interval, pool by pool, on the band of random scores."""
    names, main = made.title.values, made.sel(measure=MAIN)
    pools = made.pool.values
    figure = figures.figure(2.2 + 2.6 * len(pools), 1.3 + 0.24 * len(names))
    axes = figure.subplots(1, len(pools), sharey=True, squeeze=False)[0]
    for axis, pool in zip(axes, pools, strict=True):
        _taus(axis, main.sel(pool=pool))
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    return figure


def _taus(axis: "Axes", of: xr.Dataset) -> None:
    """One pool's panel."""
    axis.axvspan(float(of.chance_low), float(of.chance_high), color="#eeeeee", zorder=0)
    axis.axvline(0, color="#888888", linewidth=0.6)
    for i, sort in enumerate(of.sort.values):
        value, low, high = (float(of[f"agreement{end}"][i]) for end in ("", "_low", "_high"))
        colour, marker = _STYLES[sort]
        axis.plot([low, high], [i, i], color=figures.ERROR_BARS, linewidth=1)
        certain = of.gain_p_holm[i] < figures.SIGNIFICANT and of.gain[i] > 0
        axis.plot(
            value, i, marker, color=colour, markersize=5, markerfacecolor=colour if certain else "white"
        )
    axis.set_xlim(-1, 1)
    axis.set_xticks([-1, -0.5, 0, 0.5, 1])
    axis.set_title(f"{of.pool.item()} ({int(of.candidates)})", fontsize=8)
    axis.set_xlabel("weighted tau", fontsize=8)
    axis.tick_params(labelsize=7)


def scatter(made: xr.Dataset) -> "Figure":
    """Accuracy of every candidate against what each ranker says of it."""
    shown = [i for i, values in enumerate(made.value.values) if _differ(values)]
    rows = -(-len(shown) // _COLUMNS)
    figure = figures.figure(2.6 * _COLUMNS, 2.1 * rows + 0.4)
    axes = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False).ravel()
    families = np.array([family(study) for study in made.candidate_study.values])
    for axis, i in zip(axes, shown, strict=False):
        _cloud(axis, made.value.values[i], made.accuracy.values, families)
        axis.set_title(made.title.values[i], fontsize=8)
    for axis in axes[len(shown) :]:
        axis.set_axis_off()
    for axis in axes[::_COLUMNS]:
        axis.set_ylabel("accuracy", fontsize=8)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=5, fontsize=8)
    return figure


def _differ(values: np.ndarray) -> bool:
    """Whether there are different values."""
    known = values[np.isfinite(values)]
    return len(known) > 1 and np.ptp(known) > 0


def _cloud(axis: "Axes", values: np.ndarray, accuracy: np.ndarray, families: np.ndarray) -> None:
    for name in dict.fromkeys(families):
        colour, marker = _FAMILIES[name]
        here = families == name
        axis.scatter(values[here], accuracy[here], s=10, color=colour, marker=marker, label=name, linewidth=0)
    axis.tick_params(labelsize=6)
    axis.locator_params(nbins=4)


def effects(made: xr.Dataset) -> "Figure":
    """Effects of source classes on scores over their errors, and their agreement with those on accuracy."""
    known = np.flatnonzero(made.missing.values == "")
    if not len(known):
        return figures.message("No score is known for all models of study influence.")
    units = np.argsort(-made.accuracy_effect.values)
    units = (
        units
        if len(units) <= _SHOWN_UNITS
        else np.r_[units[: _SHOWN_UNITS // 2], units[-_SHOWN_UNITS // 2 :]]
    )
    names = ["accuracy", *made.title.values[known]]
    figure = figures.figure(4.6 + 0.17 * len(units), 1.9 + 0.22 * len(names))
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=[2.2, 0.17 * len(units)])
    _agreement(left, made, known)
    _matrix(right, made, known, units)
    left.set_yticks(range(len(names)), names, fontsize=8)
    left.set_ylim(len(names) - 0.5, -0.5)
    return figure


def _agreement(axis: "Axes", made: xr.Dataset, known: np.ndarray) -> None:
    """Rank correlations with the influences on accuracy, those of accuracy itself first."""
    ends = ("", "_low", "_high")
    rows = [[float(made[f"ceiling{end}"]) for end in ends]]
    rows += [[float(made[f"correlation{end}"][i]) for end in ends] for i in known]
    styles = [(figures.BLACK, "^"), *(_STYLES[made.sort.values[i]] for i in known)]
    for i, ((value, low, high), (colour, marker)) in enumerate(zip(rows, styles, strict=True)):
        axis.plot([low, high], [i, i], color=figures.ERROR_BARS, linewidth=1)
        certain = i > 0 and made.p_holm[known[i - 1]] < figures.SIGNIFICANT
        axis.plot(
            value, i, marker, color=colour, markersize=5, markerfacecolor=colour if certain else "white"
        )
    axis.axvline(0, color="#888888", linewidth=0.6)
    axis.set_xlim(-1.05, 1.05)
    axis.set_xlabel("rank correlation with\ninfluences on accuracy", fontsize=8)
    axis.tick_params(labelsize=7)


def _matrix(axis: "Axes", made: xr.Dataset, known: np.ndarray, units: np.ndarray) -> None:
    """Effects over their standard errors, a row for each score; a dot marks q < .05."""
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.vstack(
            [
                made.accuracy_effect / made.accuracy_effect_se,
                made.effect.values[known] / made.effect_se.values[known],
            ]
        )[:, units]
    q = np.vstack([made.accuracy_effect_q.values, made.effect_q.values[known]])[:, units]
    image = axis.imshow(t, cmap=figures.DIVERGING, vmin=-6, vmax=6, aspect="auto")
    rows, columns = np.nonzero(q < figures.SIGNIFICANT)
    axis.plot(columns, rows, ".", color="black", markersize=2)
    labels = [figures.shortened(str(name), 18) for name in made.unit.values[units]]
    axis.set_xticks(range(len(units)), labels, rotation=90, fontsize=6)
    axis.figure.colorbar(image, ax=axis, label="effect / its error", shrink=0.7)
