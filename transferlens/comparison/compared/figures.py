"""Pictures of a comparison: accuracy against forgetting, and both against the number of training images."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from transferlens.comparison.compared.artefacts import MEASURES
from transferlens.comparison.compared.words import named
from transferlens.pictures import figures, labels

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NO_PLOT = "No recipe has both an accuracy and a change of probes' accuracy."
_COLOURS = (
    figures.BLUE,
    figures.VERMILION,
    figures.GREEN,
    figures.ORANGE,
    figures.PURPLE,
    figures.SKY_BLUE,
    "#8c6d31",
    "#5a5a5a",
)
_DASHES = ("-", (0, (1, 1.2)), "-.")  # of the first, second and third lap; dashes are of models from scratch
_FORGETTING = "change of linear probes' accuracy on other data"


def accuracies(made: xr.Dataset) -> xr.Dataset:
    """Accuracy of every contestant on the report half, with its ends: value, value_low, value_high."""
    return made[["value", "value_low", "value_high"]].isel(measure=list(MEASURES).index("accuracy"))


def non_dominated(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Which of n points no other one is at least as good as in both, and better in one: bool[n].

    Args:
        first, second: float64[n], of which more is better.
    """
    at_least = (first[None] >= first[:, None]) & (second[None] >= second[:, None])
    better = (first[None] > first[:, None]) | (second[None] > second[:, None])
    return ~(at_least & better).any(1)


def pareto(made: xr.Dataset) -> "Figure":
    """Accuracy on the target against what linear probes gain or lose on other data, a mark a recipe."""
    told = accuracies(made)
    shown = np.flatnonzero(np.isfinite(made.mean_forgetting.values) & np.isfinite(told.value.values))
    if not len(shown):
        return figures.message(NO_PLOT)
    x, y = made.mean_forgetting.values[shown], told.value.values[shown]
    front = non_dominated(x, y)
    figure = figures.figure(7.6, 5.2)
    axis = figure.subplots()
    axis.margins(0.12)
    _crosses(axis, made.isel(recipe=shown), told.isel(recipe=shown))
    along = np.argsort(x[front])
    axis.plot(
        x[front][along], y[front][along], color=figures.BLUE, linewidth=1, zorder=2, label="not dominated"
    )
    _marks(axis, x, y, front)
    best = made.recipe.values[shown] == made.recommended
    ring = {"facecolors": "none", "edgecolors": figures.BLACK, "zorder": 4}
    axis.scatter(x[best], y[best], s=130, label="recommended", **ring)
    axis.set(xlabel=f"{_FORGETTING}  (left: forgotten)", ylabel="accuracy on the target")
    _scratch_line(axis, made, told)
    axis.legend(loc="lower left", bbox_to_anchor=(0, 1.01), ncols=3, fontsize=8, frameon=False)
    behind = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.8}
    labels.place(axis, np.column_stack([x, y]), made.base.values[shown], fontsize=8, bbox=behind)
    return figure


def _scratch_line(axis: "Axes", made: xr.Dataset, told: xr.Dataset) -> None:
    """The accuracy of models from scratch, which have nothing to forget; in words where it is far off."""
    axis.set_ylim(axis.get_ylim())
    for value in told.value.values[made.from_scratch.values]:
        label = f"from scratch: {value:.3f}"
        axis.axhline(value, color=figures.NEUTRAL, linestyle="--", linewidth=1, label=label)


def _crosses(axis: "Axes", made: xr.Dataset, told: xr.Dataset) -> None:
    """Intervals both ways."""
    x, y = made.mean_forgetting.values, told.value.values
    style = {"color": "#b8b8b8", "linewidth": 0.9, "zorder": 1}
    axis.hlines(y, made.mean_forgetting_low.values, made.mean_forgetting_high.values, **style)
    axis.vlines(x, told.value_low.values, told.value_high.values, **style)


def _marks(axis: "Axes", x: np.ndarray, y: np.ndarray, front: np.ndarray) -> None:
    """The plain recipe is the first; those that change no features have changes of exactly zero."""
    plain, unchanged = np.arange(len(x)) == 0, x == 0
    kinds = (
        (plain, "D", "plain fine-tuning"),
        (unchanged & ~plain, "s", "features unchanged"),
        (~unchanged & ~plain, "o", "other recipes"),
    )
    for here, marker, label in kinds:
        if here.any():
            colours = np.where(front[here], figures.BLUE, figures.ORANGE)
            axis.scatter(
                x[here], y[here], s=34, c=colours, marker=marker, zorder=3, edgecolors="white", linewidths=0.6
            )
            axis.scatter([], [], s=34, c=figures.NEUTRAL, marker=marker, label=label)


def rates(comparisons: Sequence[xr.Dataset]) -> "Figure":
    """Accuracy, and forgetting, against the number of training images, a line a recipe.

    Args:
        comparisons: of a target and its parts, with the fewest images first.
    """
    figure = figures.figure(11, 4.6)
    axes = figure.subplots(1, 2)
    for (name, _), style in _styles(comparisons).items():
        for axis, quantity in zip(axes, ("accuracy", "forgetting"), strict=True):
            line = _line(comparisons, name, quantity)
            _band(axis, line, label=name, **style)
    axes[1].axhline(0, color="#888888", linewidth=0.6)
    for axis, label in zip(axes, ("accuracy on the target", _FORGETTING), strict=True):
        _images_axis(axis, [made.train_images for made in comparisons])
        axis.set_ylabel(label)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8, frameon=False)
    return figure


def _styles(comparisons: Sequence[xr.Dataset]) -> dict[tuple[str, bool], dict]:
    """Of every contestant of any size, the best with most images first; from scratch dashed and last."""
    last = comparisons[-1]
    order = np.lexsort([-accuracies(last).value.values, last.from_scratch.values])
    pairs = [
        (
            named(str(made.base.values[i]), bool(made.from_scratch.values[i])),
            bool(made.from_scratch.values[i]),
        )
        for made, places in ((last, order), *((made, range(made.sizes["recipe"])) for made in comparisons))
        for i in places
    ]
    styles: dict[tuple[str, bool], dict] = {}
    for pair in dict.fromkeys(pairs):
        number = sum(not scratch for _, scratch in styles)
        coloured = {
            "color": _COLOURS[number % len(_COLOURS)],
            "linestyle": _DASHES[number // len(_COLOURS) % 3],
        }
        styles[pair] = {"color": figures.BLACK, "linestyle": "--"} if pair[1] else coloured
    return styles


def _line(comparisons: Sequence[xr.Dataset], name: str, quantity: str) -> np.ndarray:
    """Images, value and ends of one contestant where it has them: float64[4, sizes]."""
    points = []
    for made in comparisons:
        names = [
            named(str(b), bool(s)) for b, s in zip(made.base.values, made.from_scratch.values, strict=True)
        ]
        if name in names:
            one = made.isel(recipe=names.index(name))
            told = accuracies(one) if quantity == "accuracy" else one
            field = "value" if quantity == "accuracy" else "mean_forgetting"
            points.append([made.train_images, *(float(told[field + end]) for end in ("", "_low", "_high"))])
    known = [point for point in points if np.isfinite(point[1])]
    return np.array(known).reshape(-1, 4).T


def _band(axis: "Axes", line: np.ndarray, color: str, linestyle, label: str) -> None:
    images, value, low, high = line
    axis.plot(
        images, value, color=color, linestyle=linestyle, marker="o", markersize=3, linewidth=1.4, label=label
    )
    axis.fill_between(images, low, high, color=color, alpha=0.08, linewidth=0)


def _images_axis(axis: "Axes", images: Sequence[int]) -> None:
    """A logarithmic axis with a tick at each number of training images."""
    axis.set_xscale("log")
    axis.set_xticks(images, [f"{count:,}" for count in images])
    axis.minorticks_off()
    axis.set_xlabel("training images")
