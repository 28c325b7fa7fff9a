"""Curves over steps: similarity to step 0 with its references, and the distance of the domains."""

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from transferlens.dynamics.words import domain_words, short_layers
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LAYERS = 16  # panels of a figure; of more layers some are left out, evenly
_ACROSS = 4
_STYLES = ((figures.BLUE, "o", "-"), (figures.VERMILION, "D", "--"))  # of the target's images, the source's
_MEASURES = {
    "means": "means, over variances",
    "mmd_linear": "MMD², linear",
    "mmd_rbf": "MMD², Gaussian",
    "frechet": "Fréchet distance, squared",
}
_LEVELS = (
    ("random_init", ":", "start of a network at random"),
    ("scratch_end", "-.", "end of one from scratch"),
)


def spread(count: int, most: int = MOST_LAYERS) -> list[int]:
    """At most so many positions among `count`, evenly, with the first and the last."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).round().astype(int)).tolist()


def curves(made: xr.Dataset) -> "Figure":
    """Similarity to step 0, a panel a layer: the mean with its band over models, and the first model with its
    intervals over images."""
    layers = spread(made.sizes["layer"])
    names = short_layers(made.layer.values)
    down = -(-len(layers) // _ACROSS)
    figure = figures.figure(2.6 * min(_ACROSS, len(layers)) + 0.6, 2.2 * down + 1.2)
    axes = figure.subplots(down, min(_ACROSS, len(layers)), sharex=True, sharey=True, squeeze=False).ravel()
    for axis, layer in zip(axes, layers, strict=False):
        for i, title in enumerate(domain_words(made)):
            _of_layer(axis, made.isel(domain=i, layer=layer), title, _STYLES[i])
        axis.set_title(names[layer], fontsize=9)
        steps_axis(axis, made.step.values)
    for axis in axes[: len(layers)][-_ACROSS:]:  # the last of each column
        axis.tick_params(labelbottom=True)
    for axis in axes[len(layers) :]:
        axis.set_axis_off()
    for axis in axes[::_ACROSS]:
        axis.set_ylabel("CKA to step 0")
    figure.supxlabel("step", fontsize=9)
    _legend(figure, axes[0], domain_words(made))
    return figure


def _legend(figure: "Figure", axis: "Axes", titles: list[str]) -> None:
    """What marks mean, a column a domain."""
    marks = zip(*axis.get_legend_handles_labels(), strict=True)
    ordered = sorted(marks, key=lambda mark: [not mark[1].startswith(title) for title in titles])
    style = {"loc": "outside upper left", "ncols": len(titles), "fontsize": 8, "frameon": False}
    figure.legend(*zip(*ordered, strict=True), **style)


def _of_layer(axis: "Axes", of: xr.Dataset, title: str, style: tuple[str, str, str]) -> None:
    """One layer on the images of one domain."""
    colour, marker, dashes = style
    x = of.step.values
    axis.plot(
        x, of.mean_to_start, dashes, color=colour, linewidth=1.4, label=f"{title}: mean, band over models"
    )
    axis.fill_between(x, of.mean_to_start_low, of.mean_to_start_high, color=colour, alpha=0.15, linewidth=0)
    first = of.isel(model=0)
    reach = np.stack([first.to_start - first.to_start_low, first.to_start_high - first.to_start])
    dots = {"linestyle": "none", "marker": marker, "markersize": 3, "elinewidth": 0.8, "color": colour}
    axis.errorbar(x, first.to_start, yerr=reach, **dots, label=f"{title}: first model, intervals over images")
    thin = {"color": colour, "linewidth": 0.8}
    for name, line, words in _LEVELS:
        axis.axhline(float(of[name]), linestyle=line, label=f"{title}: {words}", **thin)
    axis.plot(x, of.other_seed, "+", color=colour, markersize=5, label=f"{title}: another model, same step")
    null = of.to_start_null_p95.max("model")
    axis.fill_between(
        x, 0, null, color=figures.NEUTRAL, alpha=0.25, linewidth=0, label=f"{title}: null, 95 %"
    )


def steps_axis(axis: "Axes", steps: np.ndarray) -> None:
    """Logarithmic from step 1 on, with step 0 before it; some of the steps are named."""
    axis.set_xscale("symlog", linthresh=1, linscale=0.5)
    ticks = steps[spread(len(steps), 6)]
    axis.set_xticks(ticks, [f"{step:,}" for step in ticks], fontsize=8)
    axis.minorticks_off()


def gaps(made: xr.Dataset) -> "Figure":
    """Distance of the two domains' features, a panel a measure, a line a layer, with its band over models."""
    if made.attrs["gap_missing"]:
        return figures.message(f"There is no distance of the domains: {made.attrs['gap_missing']}.")
    layers, names = spread(made.sizes["layer"]), short_layers(made.layer.values)
    figure = figures.figure(3.4 * made.sizes["gap_measure"] + 1.8, 3.2)
    axes = figure.subplots(1, made.sizes["gap_measure"], squeeze=False)[0]
    colours = figures.colours("viridis")(np.linspace(0, 0.9, len(layers)))
    for axis, measure in zip(axes, made.gap_measure.values, strict=True):
        for number, (layer, colour) in enumerate(zip(layers, colours, strict=True)):
            of = made.sel(gap_measure=measure).isel(layer=layer)
            style = {"color": colour, "marker": "osD^v"[number % 5], "markersize": 3, "linewidth": 1.2}
            axis.plot(of.step, of.mean_gap, label=names[layer], **style)
            axis.fill_between(
                of.step, of.mean_gap_low, of.mean_gap_high, color=colour, alpha=0.12, linewidth=0
            )
        steps_axis(axis, made.step.values)
        _logarithmic(axis, made.mean_gap.sel(gap_measure=measure).values)
        axis.set_title(_MEASURES.get(measure, str(measure)), fontsize=9)
        axis.set_xlabel("step")
    axes[0].set_ylabel("distance of the domains")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside right center", fontsize=8, frameon=False)
    return figure


def _logarithmic(axis: "Axes", values: np.ndarray) -> None:
    """A logarithmic axis that holds all values, where they are positive: layers differ by magnitudes."""
    known = values[np.isfinite(values)]
    if len(known) and known.min() > 0:
        axis.set_yscale("log")
        axis.set_ylim(known.min() / 1.5, known.max() * 1.5)
