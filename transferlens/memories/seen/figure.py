"""The picture of seen and unseen: what models lose for having seen a class, and what either side loses."""

from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.memories.seen.artefacts import GROUPS, HEADLINE, LEVELS, MEASURES, SEEN
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# What the left part shows, by its name there.
_DROPS = {HEADLINE: "beyond the scrambled background", "canvas": "beyond plain canvas"}
_STYLES = {HEADLINE: (figures.BLUE, "o"), "canvas": (figures.ORANGE, "s")}
_LEVELS = {"seen": figures.VERMILION, "unseen": figures.BLUE, "scratch": figures.NEUTRAL}


def draw(path: Path, picture: Path) -> None:
    """Draw an artefact of seen and unseen."""
    with artefacts.open(path, SEEN) as file:
        reason = file.attrs.get("skipped") or file.attrs.get("no_composites")
        drawn = figures.message(f"Not compared: {reason}.") if reason else _figure(file)
    figures.save(drawn, picture, dpi=120)


def _figure(file: h5py.File) -> "Figure":
    classes = len(file["left_out"])
    figure = figures.figure(9, 2 + 0.3 * (classes + len(GROUPS)))
    left, right = figure.subplots(1, 2, width_ratios=[3, 2])
    _differences(left, file)
    _levels(right, file)
    return figure


def _differences(axis: "Axes", file: h5py.File) -> None:
    """Seen minus unseen, of the groups and then of each class, with 95 % intervals; filled without zero."""
    groups, names = artefacts.names(file["group"]), artefacts.names(file["left_out"])
    kinds = artefacts.names(file["kind"])
    order = np.argsort([groups.index(kind) for kind in kinds], kind="stable")
    measures = list(MEASURES)
    for shift, (name, label) in zip((-0.14, 0.14), _DROPS.items(), strict=True):
        row, (colour, marker) = measures.index(name), _STYLES[name]
        values, lows, highs = (
            np.append(file[f"effect{part}"][row], file[f"class_effect{part}"][row][order])
            for part in ("", "_low", "_high")
        )
        for i, (value, low, high) in enumerate(zip(values, lows, highs, strict=True)):
            axis.plot([low, high], [i + shift] * 2, color=figures.ERROR_BARS, linewidth=1)
            face = colour if low > 0 or high < 0 else "white"
            axis.plot(value, i + shift, marker, color=colour, markerfacecolor=face, markersize=4.5)
        axis.plot([], [], marker, color=colour, label=label)
    labels = [f"{group} together" for group in groups] + [f"{names[i]} ({kinds[i]})" for i in order]
    axis.axvline(0, color=figures.NEUTRAL, linewidth=0.6)
    axis.set_yticks(range(len(labels)), labels, fontsize=7)
    axis.set_ylim(len(labels) - 0.5, -0.5)
    axis.set_xlabel(
        "probability lost by models that saw the class,\nminus that by those that did not", fontsize=8
    )
    axis.legend(fontsize=7, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)


def _levels(axis: "Axes", file: h5py.File) -> None:
    """What models with and without the class, and from scratch, lose to it."""
    groups, row = artefacts.names(file["group"]), list(MEASURES).index(HEADLINE)
    width = 0.8 / len(LEVELS)
    for i, (level, colour) in enumerate(_LEVELS.items()):
        places = np.arange(len(groups)) + (i - 1) * width
        axis.bar(places, file[level][row], width, color=colour, label=level)
    axis.axhline(0, color=figures.NEUTRAL, linewidth=0.6)
    axis.set_xticks(range(len(groups)), [fill(group, 12) for group in groups], fontsize=7)
    axis.set_ylabel(fill("probability lost beyond the scrambled background", 34), fontsize=8)
    axis.legend(fontsize=7, frameon=False)
