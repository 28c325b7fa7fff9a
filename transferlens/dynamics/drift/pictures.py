"""Pictures of drift influence, from labelled data alone."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from transferlens.dynamics.drift.chosen import strongest
from transferlens.dynamics.words import domain_words, short_layers
from transferlens.pictures import figures
from transferlens.pictures.figures import SIGNIFICANT

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Classes that are shown of each half of the draws, and moments of the curves.
SHOWN = 8
_MOMENTS = 3
_COLOURS = (figures.BLUE, figures.VERMILION, figures.GREEN, figures.PURPLE, figures.ORANGE, figures.BLACK)
_MARKS = "osD^vP"


def effects(told: xr.Dataset) -> "Figure":
    """What the strongest classes add to the drift of every layer at the end, on the target's images.

    As a share of the layer's mean drift; dots where q < 0.05.
    """
    if told.folds_missing:
        return figures.message(told.folds_missing)
    found = strongest(told, told.domain.values[0], SHOWN)
    folds, ranks, layers = found.share.shape
    figure = figures.figure(2.2 + 2 * (1.2 + 0.36 * layers), 1.7 + 0.3 * ranks)
    limit = float(np.nanmax(np.abs(found.share), initial=0)) or 1.0
    for fold, axis in enumerate(figure.subplots(1, folds)):
        shown = axis.imshow(found.share[fold], cmap=figures.DIVERGING, vmin=-limit, vmax=limit, aspect="auto")
        y, x = np.nonzero(found.q[fold] < SIGNIFICANT)
        axis.plot(x, y, ".", color="black", markersize=4)
        names = told.source_class.values[found.classes[fold]]
        axis.set_yticks(range(ranks), [figures.shortened(str(name)) for name in names])
        _name_layers(axis, told)
        axis.set_title(f"chosen by half {fold + 1} of the draws, told by half {2 - fold}", fontsize=8)
        axis.spines[:].set_visible(False)
    figure.colorbar(shown, ax=figure.axes, label="added, as a share of the layer's mean drift")
    return figure


def curves(told: xr.Dataset) -> "Figure":
    """What removing most classes changes of every layer's drift: a row a domain, a column a moment."""
    if told.retrained_missing:
        return figures.message(f"No drift of retrained models: {told.retrained_missing}.")
    shown = told.isel(step=slice(-_MOMENTS, None), k=-1)
    rows, columns = shown.sizes["domain"], shown.sizes["step"]
    figure = figures.figure(
        1.6 + columns * (1.2 + 0.32 * shown.sizes["layer"]), 0.9 + 2.3 * rows, layout="constrained"
    )
    axes = figure.subplots(rows, columns, squeeze=False, sharey="row")
    for row, (domain, words) in enumerate(zip(shown.domain.values, domain_words(shown), strict=True)):
        for column, step in enumerate(shown.step.values):
            axis = axes[row, column]
            _curves(axis, shown.sel(domain=domain, step=step))
            axis.set_title(f"images of {words}, after {step} steps", fontsize=8)
        axes[row, 0].set_ylabel("drift minus that from\nthe whole source")
    axes[0, 0].legend(frameon=False, fontsize=7)
    return figure


def _curves(axis: "Axes", one: xr.Dataset) -> None:
    """Of every order, with 95 % intervals over repeats."""
    places = np.arange(one.sizes["layer"])
    for i, order in enumerate(one.order.values):
        change = one.sel(order=order)
        value = change.retrained_change.values
        reach = [value - change.retrained_change_low.values, change.retrained_change_high.values - value]
        axis.errorbar(
            places + 0.12 * (i - (one.sizes["order"] - 1) / 2),
            value,
            yerr=reach,
            fmt=_MARKS[i % len(_MARKS)],
            color=_COLOURS[i % len(_COLOURS)],
            markersize=4,
            label=f"{order} {int(one.k)} removed",
        )
    axis.axhline(0, color="black", linewidth=0.8)
    _name_layers(axis, one)


def _name_layers(axis: "Axes", told: xr.Dataset) -> None:
    """Layers along x."""
    names = short_layers(told.layer.values)
    axis.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=7)
