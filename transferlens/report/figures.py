"""Figures of one adaptation, from labelled data alone."""

from pathlib import Path

import matplotlib
import numpy as np
import xarray as xr

from transferlens.core import store
from transferlens.core.statistics import mean_interval

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

plt.rcParams.update(
    {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "svg.hashsalt": "transferlens",  # equal data give an equal file
        "svg.fonttype": "none",
        "figure.constrained_layout.use": True,
    }
)
_HELP, _HURT = "#b2182b", "#2166ac"  # the ends of RdBu, told apart by colour-blind readers
_ORDERS = {
    "top": _HELP,
    "bottom": _HURT,
    "random": "#777777",
    "matched": "#b8860b",
    "label_mapping": "#4d9221",
}
_NAMES = {
    "top": "most helpful first",
    "bottom": "most harmful first",
    "random": "random",
    "matched": "random, as many images",
    "label_mapping": "fewest mapped labels first",
}
_ESTIMATORS = {
    "least_squares": ("least squares", "#1b7837"),
    "difference_of_means": ("difference of means", "#762a83"),
    "ridge": ("ridge", "#e08214"),
    "lasso": ("LASSO", "#2166ac"),
}
_UNITS = {"margin": "margin (nats)", "p_true": "probability of the true class"}
_SIGNIFICANT = 0.05
MATRIX_CLASSES = 40  # more rows or columns than that cannot be read


def influence_matrix(influence: xr.Dataset) -> Figure:
    """Class influences on the report half: target classes by source classes; dots where q < 0.05.

    Of many classes, those with the largest influences on the select half are drawn.
    """
    report = _largest(influence, MATRIX_CLASSES).sel(half="report")
    effect, q = report.class_effect, report.class_q.values
    rows, columns = effect.shape
    figure, axis = plt.subplots(figsize=(2.4 + 0.33 * columns, 1.6 + 0.3 * rows))
    limit = float(np.abs(effect).max()) or 1.0
    picture = axis.imshow(effect, cmap="RdBu_r", vmin=-limit, vmax=limit, aspect="auto")
    y, x = np.nonzero(q < _SIGNIFICANT)
    axis.plot(x, y, ".", color="black", markersize=3)
    axis.set_xticks(range(columns), effect.source_class.values, rotation=60, ha="right")
    axis.set_yticks(range(rows), effect.target_class.values)
    axis.set(xlabel="source class", ylabel="target class")
    axis.spines[:].set_visible(False)
    figure.colorbar(picture, label=f"influence on {_unit(influence)}")
    return figure


def _largest(influence: xr.Dataset, count: int) -> xr.Dataset:
    """At most `count` classes of either kind, by the mean square of their influences on the select half."""
    for dim, other in (("source_class", "target_class"), ("target_class", "source_class")):
        size = (influence.class_effect.sel(half="select") ** 2).mean(other).values
        influence = influence.isel({dim: np.sort(size.argsort()[::-1][:count])})
    return influence


def strongest_classes(influence: xr.Dataset, count: int) -> Figure:
    """The most helpful and most harmful source classes overall, report half, with 95 % intervals."""
    report = influence.sel(half="report").sortby("overall_effect")
    count = min(count, report.sizes["source_class"] // 2)
    ends = np.r_[0:count, report.sizes["source_class"] - count : report.sizes["source_class"]]
    shown = report.isel(source_class=ends)
    effect = shown.overall_effect.values
    reach = np.abs(np.stack([shown.overall_low, shown.overall_high]) - effect)
    figure, axis = plt.subplots(figsize=(6, 0.8 + 0.26 * len(effect)))
    colours = [_HELP if e > 0 else _HURT for e in effect]
    axis.barh(range(len(effect)), effect, xerr=reach, color=colours, ecolor="#444444", height=0.7)
    axis.set_yticks(range(len(effect)), shown.source_class.values)
    axis.axvline(0, color="black", linewidth=0.8)
    axis.set_xlabel(f"influence on the mean {_unit(influence)} (bars: 95 %)")
    return figure


def counterfactual_curves(counterfactual: xr.Dataset) -> Figure:
    """Report-half accuracy against the number of removed classes, with 95 % bands over repeats."""
    report = counterfactual.sel(half="report")
    figure, axis = plt.subplots(figsize=(6, 3.6))
    full = mean_interval(report.full.values)
    scratch = mean_interval(report.scratch.values)
    for interval, name, style in ((full, "full source", "-"), (scratch, "from scratch", ":")):
        axis.axhline(interval.value, color="black", linestyle=style, linewidth=1, label=name)
        axis.axhspan(interval.low, interval.high, color="black", alpha=0.07, linewidth=0)
    for order in report.order.values:
        curve, colour = report.sel(order=order), _ORDERS[order]
        axis.plot(curve.k, curve.accuracy_mean, "o-", color=colour, label=_NAMES[order])
        axis.fill_between(curve.k, curve.accuracy_low, curve.accuracy_high, color=colour, alpha=0.15)
    if "handpicked_accuracy_mean" in report:
        picked = [float(report[f"handpicked_accuracy_{key}"]) for key in ("mean", "low", "high")]
        removed = report.attrs["handpicked_removed"]
        reach = [[picked[0] - picked[1]], [picked[2] - picked[0]]]
        axis.errorbar([removed], picked[:1], reach, fmt="s", color="black", label="picked by hand", capsize=3)
    low, high = axis.get_ylim()
    axis.set(xlabel="source classes removed", ylabel="target accuracy (report half)")
    axis.set_ylim(max(low, 0), min(high, 1))  # Student's intervals of few repeats reach beyond
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def single_removals(counterfactual: xr.Dataset, output: str) -> Figure:
    """Realised against predicted change of the mean output without one class, report half, with 95 % bars."""
    figure, axis = plt.subplots(figsize=(4.6, 3.8))
    x, y = counterfactual.single_predicted.values, counterfactual.single_change_mean.values
    x_reach = counterfactual.single_predicted_reach.values
    y_reach = np.abs(np.stack([counterfactual.single_change_low, counterfactual.single_change_high]) - y)
    axis.errorbar(
        x, y, y_reach, x_reach, fmt="o", color="black", ecolor="#bbbbbb", markersize=4, linewidth=0.8
    )
    ends = np.array([min(x.min(), y.min()), max(x.max(), y.max())])
    axis.plot(ends, ends, ":", color="#777777", label="realised as predicted")
    if "singles_slope" in counterfactual.attrs:
        slope, low, high = (counterfactual.attrs[f"singles_slope{k}"] for k in ("", "_low", "_high"))
        line = y.mean() + slope * (ends - x.mean())
        axis.plot(ends, line, "-", color=_HURT, label=f"slope {slope:.2f} ({low:.2f} to {high:.2f})")
    for name, a, b in zip(counterfactual.removed_class.values, x, y, strict=True):
        axis.annotate(str(name), (a, b), fontsize=6, xytext=(3, 3), textcoords="offset points")
    axis.set(xlabel=f"predicted change of the mean {_UNITS.get(output, output)}", ylabel="realised change")
    axis.legend(frameon=False, fontsize=8)
    return figure


def convergence(scores: xr.Dataset) -> Figure:
    """Predictive correlation and reliability of class influences of every estimator, against the
    models used.
    """
    figure, (left, right) = plt.subplots(1, 2, figsize=(8.5, 3.2))
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


def save(figure: Figure, folder: Path, name: str) -> None:
    """Write a figure as SVG and PNG."""
    for kind, metadata in (("svg", {"Date": None}), ("png", {"Software": None})):
        with store.replace_file(folder / f"{name}.{kind}") as temporary:
            figure.savefig(temporary, format=kind, dpi=150, metadata=metadata)
    plt.close(figure)


def _unit(influence: xr.Dataset) -> str:
    output = influence.attrs["output"]
    return _UNITS.get(output, output)
