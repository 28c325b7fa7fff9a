"""One number a layer or class: when it changed, how far and how straight it went, what is left of classes."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from transferlens.dynamics.pictures.curves import steps_axis
from transferlens.dynamics.words import domain_words, short_layers
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CLASSES = 40  # rows of a panel that can be read
_STYLES = ((figures.BLUE, "o", -0.12), (figures.VERMILION, "D", 0.12))
_PATHS = (
    ("mean_half_change_step", "half of the change by step"),
    ("mean_path_length", "path length (rad)"),
    ("mean_straightness", "straightness (1: straight)"),
)
_KINDS = (("target_class", "target class"), ("source_class", "source class"))


def paths(made: xr.Dataset) -> "Figure":
    """Half-change step, path length and straightness of every layer, with intervals over models."""
    names = short_layers(made.layer.values)
    figure = figures.figure(10, 1.4 + 0.3 * len(names))
    axes = figure.subplots(1, len(_PATHS), sharey=True)
    for axis, (name, label) in zip(axes, _PATHS, strict=True):
        for i, title in enumerate(domain_words(made)):
            _dots(axis, made.isel(domain=i), name, _STYLES[i], title)
        axis.set_xlabel(label)
    steps_axis(axes[0], made.step.values)
    axes[0].set_yticks(range(len(names)), names, fontsize=8)
    axes[0].set_ylim(len(names) - 0.5, -0.5)
    figure.legend(
        *axes[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, fontsize=8, frameon=False
    )
    return figure


def _dots(axis: "Axes", of: xr.Dataset, name: str, style: tuple[str, str, float], label: str) -> None:
    """Values of a variable [rows] one below the other, with their intervals where they have any."""
    colour, marker, offset = style
    value, low, high = (of[f"{name}{end}"].values for end in ("", "_low", "_high"))
    y = np.arange(len(value)) + offset
    axis.hlines(y, low, high, color=colour, linewidth=1.2)
    axis.plot(value, y, marker, color=colour, markersize=5, label=label)


def classes(made: xr.Dataset) -> "Figure":
    """Similarity of what the head sees to step 0 within single classes at the end, the lowest first."""
    last = made.isel(step=-1, layer=-1)
    shown = [(kind, title, told_classes(last, kind)) for kind, title in _KINDS]
    shown = [(kind, title, positions) for kind, title, positions in shown if len(positions)]
    if not shown:
        return figures.message("No class has enough probe images for a similarity of its own.")
    rows = max(len(positions) for *_, positions in shown)
    figure = figures.figure(4.6 * len(shown) + 0.6, 1.2 + 0.24 * max(rows, 3))
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for axis, (kind, title, positions) in zip(axes, shown, strict=True):
        of = last.isel({kind: positions})
        style = _STYLES[0][0], _STYLES[0][1], 0
        _dots(axis, of, f"mean_{kind}_to_start", style, "")
        axis.set_yticks(range(len(positions)), [figures.shortened(n) for n in of[kind].values], fontsize=8)
        axis.set_ylim(rows - 0.5, -0.5)
        axis.set_xlabel(f"CKA of the last layer to step 0, within a {title}")
    return figure


def told_classes(last: xr.Dataset, kind: str) -> np.ndarray:
    """Positions of at most MOST_CLASSES classes with a number, those of the lowest similarity first."""
    if kind not in last.coords:
        return np.array([], int)
    values = last[f"mean_{kind}_to_start"].values
    order = np.argsort(values, kind="stable")
    return order[: np.isfinite(values).sum()][:MOST_CLASSES]
