"""The picture of harm by recipe: effects of harmful classes, and interference."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from transferlens.comparison.harm.artefacts import QUANTITIES
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_TITLES = {
    "effect": ("Accuracy that a harmful class adds", "accuracy (below zero: harm)"),
    "interference": ("Drop on composites, class seen minus unseen", "probability (above zero: interference)"),
}
_OWN, _DIFFERENCE = (figures.BLUE, "o", -0.13), (figures.VERMILION, "D", 0.13)


def draw(path: Path, harm: xr.Dataset) -> None:
    """Both quantities of every recipe and their differences to the plain recipe, with 95 % intervals."""
    recipes = [str(name) for name in harm.recipe.values]
    shown = [name for name, (_, missing) in QUANTITIES.items() if harm[name].notnull().any()]
    if not shown:
        reasons = "; ".join(harm.attrs[missing] for _, missing in QUANTITIES.values())
        figures.save(figures.message(reasons), path)
        return
    figure = figures.figure(4.6 * len(shown) + 1, 1.7 + 0.55 * len(recipes))
    axes = figure.subplots(1, len(shown), sharey=True, squeeze=False)[0]
    for axis, name in zip(axes, shown, strict=True):
        _panel(axis, harm, name)
    axes[0].set_yticks(range(len(recipes)), recipes)
    axes[0].set_ylim(len(recipes) - 0.5, -0.5)
    figure.suptitle(
        "Report half, 95 % intervals (filled: p < .05, of differences after Holm)",
        fontsize=9,
        x=0.01,
        ha="left",
    )
    figures.save(figure, path)


def _panel(axis: "Axes", harm: xr.Dataset, name: str) -> None:
    """One quantity: of single classes, small and grey; of each recipe; and minus the plain recipe."""
    axis.axvline(0, color="#888888", linewidth=0.7)
    if name == "effect":
        _classes(axis, harm)
    _points(axis, harm, name, f"{name}_p", _OWN, "mean of the classes" if name == "effect" else "the recipe")
    _points(
        axis, harm, f"{name}_difference", f"{name}_difference_holm", _DIFFERENCE, "minus the plain recipe"
    )
    title, label = _TITLES[name]
    axis.tick_params(labelsize=8)
    axis.locator_params(axis="x", nbins=7)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel(label, fontsize=8)
    axis.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.25), ncols=3)


def _classes(axis: "Axes", harm: xr.Dataset) -> None:
    for y, single in enumerate(harm.class_effect.values):
        label = "single classes, by the folds" if y == 0 else None
        values = single.ravel()
        axis.plot(values, np.full(len(values), y + _OWN[2]), "|", color="#999999", markersize=7, label=label)


def _points(
    axis: "Axes", harm: xr.Dataset, name: str, test: str, style: tuple[str, str, float], label: str
) -> None:
    colour, marker, offset = style
    for y in range(harm.sizes["recipe"]):
        value, low, high, p = (float(harm[key][y]) for key in (name, f"{name}_low", f"{name}_high", test))
        if np.isnan(value):
            continue
        axis.plot([low, high], [y + offset] * 2, color=colour, linewidth=1.2)
        face = colour if p < figures.SIGNIFICANT else "white"
        axis.plot(value, y + offset, marker, color=colour, markerfacecolor=face, markersize=6)
    axis.plot([], [], marker, color=colour, label=label)
