"""The picture of agreement: every pair of classes by influence and interference, and what goes with what."""

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.memories.agreement.artefacts import AGREEMENT, MEASURES
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours, and markers besides, in the order of QUADRANTS.
_STYLES = (
    (figures.ORANGE, "^"),
    (figures.VERMILION, "X"),
    (figures.PURPLE, "D"),
    (figures.GREEN, "o"),
    (figures.BLUE, "s"),
    ("#BBBBBB", "."),
    ("#DDDDDD", "."),
)
_LABELLED = 8
_UNNAMED = ("neutral", "untested")


def draw(path: Path, picture: Path, settings: dict) -> None:
    """Draw an artefact of agreement; `settings` are those it was made with."""
    with artefacts.open(path, AGREEMENT) as file:
        figure = figures.figure(9, 4.4, layout="tight")
        axes = figure.subplots(1, 2, width_ratios=[3, 2])
        _scatter(axes[0], file, settings)
        _correlations(axes[1], file)
        for axis in axes:
            axis.tick_params(labelsize=7)
        figure.suptitle(_title(settings), fontsize=9, x=0.01, ha="left")
        figure.draw_without_rendering()  # names are placed on the final axes
        if axes[0].axison:
            _name_strongest(axes[0], file)
    figures.save(figure, picture, dpi=120)


def _title(settings: dict) -> str:
    target, recipe, other = (settings[key] for key in ("target", "recipe", "influence_recipe"))
    text = f"{target}, models adapted by {recipe}"
    if other != recipe:
        text += f"; influences are those by {other}, as there are none by {recipe}"
    return text


def _scatter(axis: "Axes", file: h5py.File, settings: dict) -> None:
    """Interference against influence, with a legend of the quadrants and the strongest pairs named."""
    quadrant, counts = file["quadrant"].asstr()[:], file["quadrant_count"][:]
    if not counts.any():
        axis.set_axis_off()
        reason = file.attrs.get("skipped", "there are no composites, hence no interference")
        axis.text(0, 0.5, fill(f"No pairs of classes to compare: {reason}.", 50), fontsize=8)
        return
    x, y = file["influence"][:], file["interference"][:]
    names = artefacts.names(file["quadrant_name"])
    for i, ((colour, marker), name) in reversed(list(enumerate(zip(_STYLES, names, strict=True)))):
        here = quadrant == name
        if here.any():
            label = f"{name} ({counts[i]})"
            axis.scatter(
                x[here], y[here], s=28, color=colour, marker=marker, label=label, alpha=0.9, linewidth=0
            )
    axis.axhline(0, color="#888888", linewidth=0.6)
    axis.axvline(0, color="#888888", linewidth=0.6)
    axis.set_xlabel(
        f"influence of training on the source class ({settings['output']}): right helps", fontsize=8
    )
    axis.set_ylabel("interference where it is seen: above distracts", fontsize=8)
    axis.legend(fontsize=7, frameon=False, loc="upper left", bbox_to_anchor=(0, -0.16), ncols=3)


def _name_strongest(axis: "Axes", file: h5py.File) -> None:
    """Name the pairs farthest from zero, each effect by its spread; neutral and untested ones are left alone.

    To be called once the axis has its final place: a name moves down until it lies on no other.
    """
    quadrant, names = file["quadrant"].asstr()[:], artefacts.names(file["quadrant_name"])
    x, y = (np.where(quadrant != "", file[name][:], np.nan) for name in ("influence", "interference"))
    distance = np.hypot(x / (np.nanstd(x) or 1), y / (np.nanstd(y) or 1))
    distance = np.where(np.isin(quadrant, [name for name in names if name not in _UNNAMED]), distance, -1)
    sources, targets = (artefacts.names(file[f"{kind}_class"]) for kind in ("source", "target"))
    points = 72 / axis.figure.dpi
    placed: list[tuple[float, float, float]] = []
    for cell in np.argsort(-distance, axis=None)[:_LABELLED]:
        c, k = np.unravel_index(cell, distance.shape)
        if distance[c, k] < 0:
            return
        name = f"{sources[c]} / {targets[k]}"
        left, height = axis.transData.transform((x[c, k], y[c, k])) * points
        width = 3.6 * len(name)
        beyond = left + width > axis.bbox.x1 * points
        left += -5 - width if beyond else 5
        shift = 3.0
        while any(left < b and a < left + width and abs(height + shift - h) < 8 for a, b, h in placed):
            shift -= 8
        placed.append((left, left + width, height + shift))
        axis.annotate(
            name,
            (x[c, k], y[c, k]),
            xytext=(-5 if beyond else 5, shift),
            textcoords="offset points",
            ha="right" if beyond else "left",
            fontsize=6.5,
        )


def _correlations(axis: "Axes", file: h5py.File) -> None:
    """Rank correlations of every two measures with their intervals; a cross is what chance gives."""
    names = {**MEASURES, "harm": "harm (minus influence)"}
    labels = [
        f"{names[a]}\nand {names[b]}"
        for a, b in zip(*(artefacts.names(file[f"pair_{key}"]) for key in ("first", "second")), strict=True)
    ]
    values, lows, highs, chance, p = (
        file[f"correlation{suffix}"][:] for suffix in ("", "_low", "_high", "_null_mean", "_p")
    )
    for i, (value, low, high) in enumerate(zip(values, lows, highs, strict=True)):
        certain = p[i] < figures.SIGNIFICANT
        axis.plot([low, high], [i, i], color="#555555", linewidth=1)
        face = figures.BLUE if certain else "white"
        axis.plot(value, i, "o", color=figures.BLUE, markerfacecolor=face, markersize=5)
        axis.plot(chance[i], i, "x", color="#999999", markersize=4)
        told = "same models" if np.isnan(p[i]) else f"p {p[i]:.2g}"
        axis.text(1.02, i, told, fontsize=6.5, va="center", transform=axis.get_yaxis_transform())
    axis.axvline(0, color="#888888", linewidth=0.6)
    axis.set_yticks(range(len(labels)), labels, fontsize=6.5)
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.set_xlabel("rank correlation over pairs\n(filled: p < .05; cross: exchanged)", fontsize=8)
