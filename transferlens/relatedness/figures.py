"""Figures of one reference, target and study."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from transferlens.core.studies import SCRATCH
from transferlens.pictures import figures
from transferlens.pictures.figures import BLACK, BLUE, GREEN, ORANGE, PURPLE, SKY_BLUE, VERMILION, YELLOW
from transferlens.relatedness.words import PARTS, ROLES, SHORT_ROLES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PART_COLOURS = dict(zip(PARTS, (SKY_BLUE, YELLOW, "#c9c9c9", GREEN), strict=True))
_TRANSFORM_COLOURS = {"FixedAll": ORANGE, "LearnedA": BLUE, "LearnedAll": PURPLE}
_ACTUAL = {
    "transformed_loss": ("transformed head's loss", BLACK, "D"),
    "probe_loss": ("probe's loss", VERMILION, "o"),
}
MATRIX_CLASSES = 40  # more rows or columns than that cannot be read
_GUESSING = {"color": "black", "linestyle": "--", "linewidth": 1}
NO_SWEEP = "One tau was tried: there is no sweep. More of them: relatedness.taus."
NOTHING_LEARNED = "No transform was learned: there is nothing to follow."


def bounds(made: xr.Dataset) -> "Figure":
    """The bound as a bar of its parts for every kind of model and transform, beside the losses themselves."""
    made = made.isel(tau=0)
    bars = [(role, name) for role in made.model_role.values for name in made.transform.values]
    figure = figures.figure(2.6 + 1.05 * len(bars), 4.2)
    axis = figure.subplots()
    for x, (role, transform) in enumerate(bars):
        _bar(axis, x, made.sel(model_role=role, transform=transform))
    axis.axhline(made.log_classes, label="log K: who knows nothing", **_GUESSING)
    axis.set_xticks(
        range(len(bars)), [f"{transform}\n{SHORT_ROLES[role]}" for role, transform in bars], fontsize=8
    )
    axis.set(ylabel="loss on the target's test images (nats)", ylim=(min(0, axis.get_ylim()[0]), None))
    _legend_outside(axis)
    return figure


def _bar(axis: "Axes", x: int, one: xr.Dataset) -> None:
    """The parts above each other (below zero, what is negative), the bound with its interval, the losses."""
    tops = {True: 0.0, False: 0.0}
    for part, title in PARTS.items():
        value = float(one["mean"].sel(quantity=part))
        axis.bar(x, value, 0.62, tops[value >= 0], color=_PART_COLOURS[part], label=title if x == 0 else None)
        tops[value >= 0] += value
    _point(
        axis, x, one, "bound", {"label": "bound (95 %)", "color": figures.ERROR_BARS, "marker": "_", "ms": 14}
    )
    for offset, (name, (title, colour, marker)) in zip((-0.12, 0.12), _ACTUAL.items(), strict=True):
        _point(
            axis,
            x + offset,
            one,
            name,
            {"label": f"{title} (95 %)", "color": colour, "marker": marker, "ms": 5},
        )


def _point(axis: "Axes", x: float, one: xr.Dataset, name: str, drawn: dict) -> None:
    """A mean with its interval, if it has one; named in the legend at the first place."""
    of = one.sel(quantity=name)
    value, low, high = (float(of[key]) for key in ("mean", "mean_low", "mean_high"))
    reach = None if np.isnan(low) else [[value - low], [high - value]]
    given = {**drawn, "label": drawn["label"] if x < 0.5 else None}
    axis.errorbar([x], [value], yerr=reach, linestyle="none", capsize=3, zorder=3, **given)


def models(made: xr.Dataset) -> "Figure":
    """The bound against the probe's loss, model by model; above the diagonal it holds for the probe, too."""
    figure = figures.figure(6.2, 4.4)
    axis = figure.subplots()
    first = made.isel(tau=0)
    loss, scratch = first.probe_loss.values, first.role.values == SCRATCH
    for transform in made.transform.values:
        bound, colour = (
            first.bound.sel(transform=transform).mean("draw").values,
            _TRANSFORM_COLOURS[transform],
        )
        for control, face in ((False, colour), (True, "white")):
            rows = scratch == control
            label = transform + (" (random networks)" if control else "")
            if rows.any():
                axis.plot(loss[rows], bound[rows], "o", mec=colour, mfc=face, label=label, zorder=3)
    ends = [min(loss.min(), made.log_classes), max(loss.max(), made.log_classes)]
    axis.plot(ends, ends, color=figures.NEUTRAL, linewidth=1, label="bound = loss")
    axis.axhline(made.log_classes, label="log K", **_GUESSING)
    axis.set(xlabel="probe's loss on the target's test images (nats)", ylabel="bound, mean over draws (nats)")
    _legend_outside(axis)
    return figure


def taus(made: xr.Dataset) -> "Figure":
    """Bound and losses against tau, for every kind of model, by the reported transform."""
    if made.sizes["tau"] < 2:
        return figures.message(NO_SWEEP)
    figure = figures.figure(3.4 * made.sizes["model_role"] + 2.2, 3.4)
    axes = figure.subplots(1, made.sizes["model_role"], sharey=True, squeeze=False)[0]
    shown = {"bound": ("bound", figures.ERROR_BARS, "s"), **_ACTUAL}
    ordered = made.sortby("tau").isel(transform=-1)
    for axis, role in zip(axes, made.model_role.values, strict=True):
        for name, (title, colour, marker) in shown.items():
            of = ordered.sel(model_role=role, quantity=name)
            axis.plot(of.tau, of["mean"], marker + "-", color=colour, label=title, markersize=4)
            axis.fill_between(of.tau, of.mean_low, of.mean_high, color=colour, alpha=0.12, linewidth=0)
        axis.axhline(made.log_classes, label="log K", **_GUESSING)
        axis.set(xscale="log", xlabel="tau", title=ROLES[role])
        axis.set_xticks(ordered.tau.values, [f"{tau:g}" for tau in ordered.tau.values], minor=False)
        axis.minorticks_off()
    axes[0].set_ylabel("loss on the target's test images (nats)")
    _legend_outside(axes[-1])
    return figure


def classes(made: xr.Dataset) -> "Figure":
    """Distances of classes in models that saw the source and in random networks; learned label maps."""
    panels = _panels(made)
    rows, columns = (min(made.sizes[dim], MATRIX_CLASSES) for dim in ("target_class", "reference_class"))
    figure = figures.figure(max(6.5, 2.2 + 0.3 * columns), (1.5 + 0.24 * rows) * len(panels) + 0.8)
    axes = figure.subplots(len(panels), 1, sharex=True, squeeze=False)[:, 0]
    for axis, (title, values, what) in zip(axes, panels, strict=True):
        shown = values[:rows, :columns]
        scale = {"cmap": "viridis", "vmin": 0, "vmax": 1} if what == "probability" else {"cmap": "viridis_r"}
        picture = axis.imshow(shown, aspect="auto", **scale)
        axis.set_title(title, fontsize=9)
        axis.set_yticks(
            range(rows), [figures.shortened(n) for n in made.target_class.values[:rows]], fontsize=8
        )
        axis.spines[:].set_visible(False)
        figure.colorbar(picture, label=what)
    names = [figures.shortened(n) for n in made.reference_class.values[:columns]]
    axes[-1].set_xticks(range(columns), names, rotation=60, ha="right", fontsize=8)
    axes[-1].set_xlabel("class of the reference")
    return figure


def _panels(made: xr.Dataset) -> list[tuple[str, np.ndarray, str]]:
    """(title, values [target classes, reference classes], what they are) of every heat map."""
    scratch = made.role.values == SCRATCH
    panels = []
    for control, word in ((False, "models that saw the source"), (True, "random networks (control)")):
        rows = np.flatnonzero(scratch == control)
        if len(rows):
            distance = made.class_distance.isel(model=rows).mean("model").values
            panels.append((f"Wasserstein distance, {word}", distance, "distance"))
            if made.transform.values[-1] == "LearnedAll":
                chosen = made.label_map.isel(model=rows, tau=0, transform=-1).mean(("model", "draw")).values
                panels.append((f"Learned label map, {word}", chosen, "probability"))
    return panels


def trace(made: xr.Dataset) -> "Figure":
    """The bound on training images along the rounds of learning, a line a model (dashed: random networks)."""
    if "trace_bound" not in made:
        return figures.message(NOTHING_LEARNED)
    figure = figures.figure(6.2, 3.2)
    axis = figure.subplots()
    for transform in made.trace_transform.values:
        for i, role in enumerate(made.role.values):
            line = made.trace_bound.sel(trace_transform=transform).isel(model=i)
            style = "--" if role == SCRATCH else "-"
            label = transform if i == 0 else None
            axis.plot(
                made["round"], line, style, color=_TRANSFORM_COLOURS[transform], linewidth=0.8, label=label
            )
    axis.xaxis.get_major_locator().set_params(integer=True)
    axis.set(xlabel="round of learning", ylabel="bound on the training images (nats)")
    _legend_outside(axis)
    return figure


def _legend_outside(axis: "Axes") -> None:
    axis.legend(frameon=False, fontsize=8, loc="center left", bbox_to_anchor=(1.01, 0.5))
