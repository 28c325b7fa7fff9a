"""Figures of what removing source classes does, from labelled data alone."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from transferlens.core.statistics import mean_interval
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ORDERS = {
    "top": ("most helpful first", figures.HELP),
    "bottom": ("most harmful first", figures.HURT),
    "random": ("random", figures.NEUTRAL),
    "matched": ("random, as many images", "#b8860b"),
    "label_mapping": ("fewest mapped labels first", "#4d9221"),
}

# Of orders that users wrote down, by turns.
_OWN_COLOURS = ["#7b3294", "#0571b0", "#a6611a"]


def curves(counterfactual: xr.Dataset, units: str = "source classes") -> "Figure":
    """Report-half accuracy against the number of removed units, with 95 % bands over repeats."""
    report = counterfactual.sel(half="report")
    figure = figures.figure(6, 3.6)
    axis = figure.subplots()
    full = mean_interval(report.full.values)
    scratch = mean_interval(report.scratch.values)
    for interval, name, style in ((full, "full source", "-"), (scratch, "from scratch", ":")):
        axis.axhline(interval.value, color="black", linestyle=style, linewidth=1, label=name)
        axis.axhspan(interval.low, interval.high, color="black", alpha=0.07, linewidth=0)
    own = iter(_OWN_COLOURS * len(report.order))
    for order in report.order.values:
        curve = report.sel(order=order)
        name, colour = _ORDERS[order] if order in _ORDERS else (f"order {order}", next(own))
        axis.plot(curve.k, curve.accuracy_mean, "o-", color=colour, label=name)
        axis.fill_between(
            curve.k, curve.accuracy_mean_low, curve.accuracy_mean_high, color=colour, alpha=0.15
        )
    if "handpicked_accuracy_mean" in report:
        picked = [float(report[f"handpicked_accuracy_mean{end}"]) for end in ("", "_low", "_high")]
        removed = report.attrs["handpicked_removed"]
        reach = [[picked[0] - picked[1]], [picked[2] - picked[0]]]
        axis.errorbar([removed], picked[:1], reach, fmt="s", color="black", label="picked by hand", capsize=3)
    low, high = axis.get_ylim()
    axis.set(xlabel=f"{units} removed", ylabel="target accuracy (report half)")
    axis.set_ylim(max(low, 0), min(high, 1))  # Student's intervals of few repeats reach beyond
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.0, 0.5))
    return figure


def single_removals(counterfactual: xr.Dataset, output: str) -> "Figure":
    """Realised against predicted change of the mean output without one class, report half, with 95 % bars."""
    if "removed_class" not in counterfactual.coords:
        return figures.message("No class was removed alone: studies.counterfactual.singles is 0.")
    if "single_predicted" not in counterfactual:
        return figures.message(f"Nothing is predicted: {counterfactual.attrs['single_predicted_missing']}.")
    figure = figures.figure(4.6, 3.8)
    axis = figure.subplots()
    x, x_reach = _with_reach(counterfactual, "single_predicted")
    y, y_reach = _with_reach(counterfactual, "single_change_mean")
    axis.errorbar(
        x, y, y_reach, x_reach, fmt="o", color="black", ecolor="#bbbbbb", markersize=4, linewidth=0.8
    )
    ends = np.array([min(x.min(), y.min()), max(x.max(), y.max())])
    axis.plot(ends, ends, ":", color=figures.NEUTRAL, label="realised as predicted")
    if "singles_slope" in counterfactual.attrs:
        slope, low, high = (counterfactual.attrs[f"singles_slope{k}"] for k in ("", "_low", "_high"))
        line = y.mean() + slope * (ends - x.mean())
        axis.plot(ends, line, "-", color=figures.HURT, label=f"slope {slope:.2f} ({low:.2f} to {high:.2f})")
    for name, a, b in zip(counterfactual.removed_class.values, x, y, strict=True):
        axis.annotate(str(name), (a, b), fontsize=6, xytext=(3, 3), textcoords="offset points")
    axis.set(xlabel=f"predicted change of the mean {figures.unit(output)}", ylabel="realised change")
    axis.legend(frameon=False, fontsize=8)
    return figure


def random_sets(counterfactual: xr.Dataset, output: str) -> "Figure":
    """Realised against predicted changes of the mean output without random sets, report half, both minus
    their repeat's mean.
    """
    if "set_change" not in counterfactual:
        return figures.message("No random sets were removed: studies.counterfactual.subsets is 0.")
    figure = figures.figure(4.6, 3.8)
    axis = figure.subplots()
    predicted = counterfactual.set_predicted.sel(predictor="influence")
    x, y = (values - values.mean("random_set") for values in (predicted, counterfactual.set_change))
    sizes = np.broadcast_to(counterfactual.set_size.values[:, None], x.shape)
    drawn = axis.scatter(x, y, c=sizes, cmap="viridis", s=16)
    figure.colorbar(drawn, label="classes removed")
    ends = np.array([float(x.min()), float(x.max())])
    axis.plot(ends, ends, ":", color=figures.NEUTRAL, label="realised as predicted")
    slope, low, high = (counterfactual.attrs[f"sets_slope{end}"] for end in ("", "_low", "_high"))
    axis.plot(
        ends, slope * ends, "-", color=figures.HURT, label=f"slope {slope:.2f} ({low:.2f} to {high:.2f})"
    )
    axis.set(xlabel=f"predicted change of the mean {figures.unit(output)}", ylabel="realised change")
    axis.legend(frameon=False, fontsize=8)
    return figure


def _with_reach(counterfactual: xr.Dataset, name: str) -> tuple[np.ndarray, np.ndarray]:
    """An estimate float[n], and how far its interval reaches below and above: float[2, n]."""
    value = counterfactual[name].values
    ends = [counterfactual[f"{name}_low"], counterfactual[f"{name}_high"]]
    return value, np.abs(np.stack(ends) - value)
