"""Figures of single units over the steps of an adaptation, from the stored file alone."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.dynamics.units import strips
from transferlens.dynamics.units.artefacts import UNITS
from transferlens.dynamics.units.choice import DRIFT, RANDOM
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

_MOST_LAYERS = 4  # that strips and similarities of filters show: spread over the depth
_GAP = 6  # pixels between tiles
_HEIGHTS = (1.55, 2.75)  # inches of a unit without and with a strip of fields
_COMPARED = {
    "same": ("same unit, same image", figures.BLACK, "-"),
    "other image": ("floor: another image of the class", figures.VERMILION, "--"),
    "other unit": ("floor: another unit", figures.BLUE, ":"),
}
_METRICS = {"cka": "CKA", "procrustes": "Procrustes", "ssim": "SSIM"}


def draw_curves(path: Path, pictures: Sequence[Path]) -> None:
    """Dead units, overlap of top images, displacement of peaks and identity of units, by layer and step."""
    _draw(_curves, path, pictures)


def _curves(file: h5py.File) -> "Figure":
    layers, of = artefacts.names(file["layer"]), file["channel_layer"][:]
    figure = figures.figure(10, 6.2)
    axes = figure.subplots(2, 2, sharex=True)
    panels = {
        "dead": "dead units (share)",
        "jaccard": f"top {file.attrs['top']} images kept (Jaccard)",
        "displacement": "peak moved by (pixels)",
        "same_unit": "units still most like themselves (share)",
    }
    for axis, (name, label) in zip(axes.flat, panels.items(), strict=True):
        values = file[name][:]
        for place, layer in enumerate(layers):
            means = [_mean(step) for step in values[:, of == place]]
            axis.plot(means, color=_depth(place, len(layers)), label=_short(layer), marker="o", markersize=3)
        axis.set_ylabel(label)
        _mark_steps(axis, file["step"][:])
    _draw_chance(axes[0, 1], axes[1, 0], file)
    for axis in axes.flat:
        axis.set_ylim(bottom=0)
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside right upper", title="layer", fontsize=8, frameon=False)
    for axis in axes[1]:
        axis.set_xlabel("optimiser step")
    return figure


def _draw_chance(overlap: "Axes", moved: "Axes", file: h5py.File) -> None:
    """What two random sets of images, and two different images, give."""
    overlap.axhline(file.attrs["jaccard_chance"], color=figures.NEUTRAL, linestyle="--", linewidth=1)
    overlap.text(
        0, file.attrs["jaccard_chance"], "random sets", va="bottom", fontsize=7, color=figures.NEUTRAL
    )
    chance = file["displacement_chance"][:]
    for place, line in enumerate(chance.T):
        moved.plot(line, color=_depth(place, chance.shape[1]), linestyle="--", linewidth=0.8)
    moved.text(0.02, 0.85, "dashed: two different images", transform=moved.transAxes, fontsize=7)


def draw_filters(path: Path, pictures: Sequence[Path]) -> None:
    """The similarities of the paper between the maps of a unit now and before the first step, with floors."""
    _draw(_filters, path, pictures)


def _filters(file: h5py.File) -> "Figure":
    layers, metrics = artefacts.names(file["layer"]), artefacts.names(file["filter_metric"])
    shown = _spread(len(layers))
    value, low, high = (file[f"filter{end}"][:] for end in ("", "_low", "_high"))
    figure = figures.figure(1.2 + 2.3 * len(shown), 1 + 1.7 * len(metrics))
    axes = figure.subplots(len(metrics), len(shown), sharex=True, sharey="row", squeeze=False)
    for row, metric in enumerate(metrics):
        axes[row, 0].set_ylabel(_METRICS[metric])
        for axis, layer in zip(axes[row], shown, strict=True):
            for place, (words, colour, style) in enumerate(_COMPARED.values()):
                at = (slice(None), layer, place, row)
                axis.plot(value[at], style, color=colour, label=words)
                axis.fill_between(range(len(value)), low[at], high[at], color=colour, alpha=0.15, linewidth=0)
            _mark_steps(axis, file["step"][:])
    for axis, layer in zip(axes[0], shown, strict=True):
        axis.set_title(_short(layers[layer]), fontsize=9)
    for axis in axes[-1]:
        axis.set_xlabel("optimiser step")
    handles, names = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=3, fontsize=8, frameon=False)
    return figure


# Strips


def draw_strips(path: Path, picture: Path) -> None:
    """Of a few layers the unit that drifts most and one drawn at random: an activation and a field strip."""
    with artefacts.open(path, UNITS) as file:
        rows = _shown_rows(file)
        if not rows:
            figures.save(
                figures.message("No strips: every unit is dead before the first step or at the end."), picture
            )
            return
        heights = [_HEIGHTS[not file["field_skipped"].asstr()[row]] for row in rows]
        figure = figures.figure(2.2 + 0.95 * len(file["step"]), sum(heights))
        blocks = figure.subfigures(len(rows), 1, squeeze=False, height_ratios=heights)[:, 0]
        for block, row in zip(blocks, rows, strict=True):
            _draw_unit(block, file, row)
    figures.save(figure, picture)


def _shown_rows(file: h5py.File) -> list[int]:
    """The first shown unit of each reason in layers spread over the depth."""
    layers, why = file["shown_layer"][:], np.array(artefacts.names(file["shown_why"]), dtype=object)
    found = [
        np.flatnonzero((layers == layer) & (why == reason))[:1]
        for layer in _spread(len(file["layer"]))
        for reason in (DRIFT, RANDOM)
    ]
    return [int(row) for rows in found for row in rows]


def _draw_unit(block: "SubFigure", file: h5py.File, row: int) -> None:
    layer, number = int(file["shown_layer"][row]), int(file["shown_number"][row])
    name, why = _short(artefacts.names(file["layer"])[layer]), artefacts.names(file["shown_why"])[row]
    skipped = file["field_skipped"].asstr()[row]
    mixed = file["mixed_by"].asstr()[layer]
    words = [why, f"no fields: {skipped}" if skipped else "", f"mixed by {mixed}" if mixed else ""]
    title = f"{name}, unit {number} ({'; '.join(filter(None, words))})"
    block.suptitle(title, fontsize=9, x=0.01, ha="left")
    axes = block.subplots(1 if skipped else 2, 2, squeeze=False, width_ratios=[1, 0.012])
    example = figures.shortened(file["activation_example"].asstr()[row, 1], 16)
    _draw_tiles(axes[0, 0], file["activation_tile"][row, 1], f"map of\n{example}")
    _note_tiles(axes[0, 0], _notes(file, layer, number))
    _draw_scale(axes[0, 1], file["scale_low"][row], file["scale_high"][row])
    if not skipped:
        size = " x ".join(str(side) for side in file["field_size"][layer])
        seen = "the whole image" if mixed else f"{size} px"
        _draw_tiles(axes[1, 0], file["field_tile"][row], f"mean field\n({seen})")
        axes[1, 1].set_axis_off()


def _draw_tiles(axis: "Axes", tiles: np.ndarray, label: str) -> None:
    axis.imshow(side_by_side(tiles))
    axis.set_ylabel(label, fontsize=7)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)


def side_by_side(tiles: np.ndarray) -> np.ndarray:
    """Tiles uint8[T, h, w, 3] in a row, with white gaps."""
    padded = np.pad(tiles, [(0, 0), (0, 0), (0, _GAP), (0, 0)], constant_values=255)
    return np.concatenate(list(padded), axis=1)[:, :-_GAP]


def _notes(file: h5py.File, layer: int, number: int) -> list[str]:
    """Below each tile: its step, and how much the unit's maps have in common with the first ones."""
    unit = np.flatnonzero((file["channel_layer"][:] == layer) & (file["channel_number"][:] == number))[0]
    metrics, values = artefacts.names(file["filter_metric"]), file["filter_unit"][:, unit]
    told = [metrics.index(name) for name in ("cka", "procrustes")]
    return [
        f"step {step}\nCKA {cka:.2f}, OP {op:.2f}" if step else "step 0"
        for step, (cka, op) in zip(file["step"][:], values[:, told], strict=True)
    ]


def _note_tiles(axis: "Axes", notes: Sequence[str]) -> None:
    middles = strips.TILE / 2 + (strips.TILE + _GAP) * np.arange(len(notes))
    axis.set_xticks(middles, notes, fontsize=6)
    axis.tick_params(length=0)


def _draw_scale(axis: "Axes", low: float, high: float) -> None:
    """The colours of all tiles of the unit."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = axis.figure.colorbar(ScalarMappable(Normalize(low, high), strips.COLOURS), cax=axis)
    bar.set_ticks([low, high], labels=[f"{value:.2g}" for value in (low, high)], fontsize=7)


# Parts of all figures


def _draw(make: Callable[[h5py.File], "Figure"], path: Path, pictures: Sequence[Path]) -> None:
    """Save a figure of a file as every picture."""
    with artefacts.open(path, UNITS) as file:
        figure = make(file)
    for picture in pictures:
        figures.save(figure, picture)


def _mark_steps(axis: "Axes", steps: np.ndarray) -> None:
    """Kept networks evenly spaced, every other one named where they are many."""
    places = range(0, len(steps), 1 + len(steps) // 9)
    axis.set_xticks(list(places), [str(steps[place]) for place in places], fontsize=7)


def _depth(place: int, layers: int) -> tuple[float, ...]:
    """The colour of a layer: the darker, the nearer to the image."""
    return figures.colours("viridis")(0.9 * place / max(layers - 1, 1))


def _spread(layers: int) -> list[int]:
    """A few layers spread over the depth, the last among them."""
    return sorted({round(place) for place in np.linspace(layers - 1, 0, min(layers, _MOST_LAYERS))})


def _short(layer: str) -> str:
    return layer.removeprefix("backbone.")


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan
