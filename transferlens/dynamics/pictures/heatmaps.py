"""Heat maps: layers by steps, layers by layers, metrics by layers, and metrics by metrics."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from transferlens.dynamics.pictures import cells
from transferlens.dynamics.words import domain_words, short_layers, step_words
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_STEPS_SHOWN = 4  # of the pictures of layers by layers
_ACROSS = 26  # cells side by side, at most
_DIGITS = 6  # of q-values: of few random orders, many are exactly the level, but for rounding
_SMALL = 0.15  # side of a cell in them, in inches


def heatmap(made: xr.Dataset) -> "Figure":
    """Excess of the similarity to step 0 over its null: layers by steps, a panel for each domain."""
    layers, steps = short_layers(made.layer.values), [f"{step:,}" for step in made.step.values]
    figure = figures.figure(*cells.size(len(layers), len(steps) * made.sizes["domain"]))
    axes = figure.subplots(1, made.sizes["domain"], sharey=True, squeeze=False)[0]
    for i, (axis, title) in enumerate(zip(axes, domain_words(made), strict=True)):
        of = made.isel(domain=i)
        chance = of.mean_to_start_q.values.round(_DIGITS) > figures.SIGNIFICANT
        picture = cells.paint(axis, of.mean_excess.values, layers, steps, chance)
        axis.set_title(title, fontsize=9)
        axis.set_xlabel("step")
    figure.colorbar(picture, ax=axes, label="excess", shrink=0.8)
    return figure


def shown_steps(steps: np.ndarray) -> list[int]:
    """Positions of a few steps after the first, evenly among those that were kept, with the last."""
    return np.unique(np.linspace(1, len(steps) - 1, _STEPS_SHOWN).round().astype(int)).tolist()


def matrices(made: xr.Dataset) -> "Figure":
    """Similarity of all layers at a few steps (rows) with all layers at step 0 (columns)."""
    layers, steps = short_layers(made.layer.values), shown_steps(made.step.values)
    side = max(1.5, _SMALL * len(layers))
    figure = figures.figure(2.4 + side * len(steps), 1.4 + (side + 0.3) * made.sizes["domain"])
    axes = figure.subplots(made.sizes["domain"], len(steps), sharex=True, sharey=True, squeeze=False)
    mean = made.cka.mean("model", skipna=False)
    for i, title in enumerate(domain_words(made)):
        for axis, step in zip(axes[i], steps, strict=True):
            values = mean.isel(domain=i, step=step, other_step=0).values
            picture = cells.paint(axis, values, layers, layers, numbered=False)
            axis.set_title(f"step {step_words(made.step.values[step], made.step.values[-1])}", fontsize=9)
            axis.tick_params(axis="x", rotation=90)
        axes[i][0].set_ylabel(title.replace(" (", "\n("))
    figure.supxlabel("layers at step 0", fontsize=9)
    figure.colorbar(picture, ax=axes, label="CKA", shrink=0.6)
    return figure


def metrics(made: xr.Dataset) -> "Figure":
    """Excess of the end's similarity to step 0 by every metric: metrics by layers, a panel a domain."""
    layers, titles = short_layers(made.layer.values), made.metric_title.values.tolist()
    figure, axes = _panels(made.sizes["domain"], len(titles) + 2, len(layers))
    for i, (axis, title) in enumerate(zip(axes, domain_words(made), strict=True)):
        of = made.isel(domain=i, step=-1).sel(reference="start")
        excess = of.metric_excess.mean("model", skipna=False).transpose("metric", "layer").values
        picture = cells.paint(axis, excess, titles, layers)
        _mark_notes(axis, made.metric_note.isel(domain=i).transpose("metric", "layer").values)
        axis.tick_params(axis="x", rotation=90)
        axis.set_title(title, fontsize=9)
    figure.colorbar(picture, ax=axes, label="excess", shrink=0.8)
    return figure


def _panels(count: int, rows: int, columns: int) -> tuple["Figure", np.ndarray]:
    """A figure and its panels of so many cells: side by side where there is room, else above each other."""
    if count * columns <= _ACROSS:
        figure = figures.figure(*cells.size(rows, count * columns))
        return figure, figure.subplots(1, count, sharey=True, squeeze=False)[0]
    figure = figures.figure(*cells.size(count * rows, columns + 3))
    return figure, figure.subplots(count, 1, sharex=True, squeeze=False)[:, 0]


def _mark_notes(axis: "Axes", notes: np.ndarray) -> None:
    """A cross where something speaks against a number."""
    for row, column in np.argwhere(notes != ""):
        axis.plot(column + 0.36, row - 0.3, "x", color=figures.VERMILION, markersize=4)


def agreement(made: xr.Dataset) -> "Figure":
    """Rank correlation of metrics over layers and steps, a panel for each domain."""
    titles = made.metric_title.values.tolist()
    figure, axes = _panels(made.sizes["domain"], len(titles) + 2, len(titles))
    for i, (axis, title) in enumerate(zip(axes, domain_words(made), strict=True)):
        of = made.isel(domain=i)
        chance = of.agreement_low.values <= 0
        picture = cells.paint(axis, of.agreement.values, titles, titles, chance)
        axis.tick_params(axis="x", rotation=90)
        axis.set_title(title, fontsize=9)
    figure.colorbar(picture, ax=axes, label="Spearman's correlation", shrink=0.8)
    return figure
