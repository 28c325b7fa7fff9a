"""The picture of remedies: what each changes, with intervals."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Colours, and markers besides.
_USED, _OTHER, _SCRATCH = (figures.BLUE, "o"), (figures.SKY_BLUE, "s"), ("#999999", "X")
# By title, each line's measure, pairs, style and name.
_PANELS = {
    "Interference (net of scratch)": [
        ("interference", "chosen", (figures.VERMILION, "D"), "most distracting before"),
        ("interference", "trained", _USED, "classes the remedy used"),
        ("interference", "held out", _OTHER, "other classes"),
    ],
    "Drop on composites": [
        ("drop, fine-tuned", "trained", _USED, "classes the remedy used"),
        ("drop, fine-tuned", "held out", _OTHER, "other classes"),
        ("drop, scratch", "trained", _SCRATCH, "from scratch, classes used"),
    ],
    "Accuracy on clean images": [
        ("accuracy, fine-tuned", "all", _USED, "fine-tuned"),
        ("accuracy, scratch", "all", _SCRATCH, "from scratch"),
    ],
    "Retention of source classes": [
        ("retention", "trained", _USED, "classes the remedy used"),
        ("retention", "held out", _OTHER, "other classes"),
    ],
}


def draw(path: Path, table: pd.DataFrame) -> None:
    """Changes by each remedy (report half), with 95 % intervals; filled where q < .05."""
    remedies = list(dict.fromkeys(table["remedy"]))
    figure = figures.figure(13, 2.2 + 0.6 * len(remedies))
    axes = figure.subplots(1, len(_PANELS), sharey=True)
    for axis, (title, shown) in zip(axes, _PANELS.items(), strict=True):
        _panel(axis, table, remedies, title, shown)
    axes[0].set_yticks(range(len(remedies)), remedies)
    axes[0].set_ylim(len(remedies) - 0.5, -0.5)
    figure.suptitle(
        "Change by each remedy, report half, 95 % intervals (filled: q < .05)", fontsize=9, x=0.01, ha="left"
    )
    figures.save(figure, path)


def _panel(axis: "Axes", table: pd.DataFrame, remedies: list[str], title: str, shown: list[tuple]) -> None:
    offsets = np.linspace(-0.22, 0.22, len(shown))
    for (measure, pairs, (colour, marker), label), offset in zip(shown, offsets, strict=True):
        rows = table[(table["measure"] == measure) & (table["pairs"] == pairs)].set_index("remedy")
        if len(rows):
            label += f" (before: {rows['before'].iloc[0]:.2f})"
        for remedy, row in rows.iterrows():
            y = remedies.index(remedy) + offset
            axis.plot([row.change_low, row.change_high], [y, y], color=colour, linewidth=1.2)
            face = colour if row.change_q < figures.SIGNIFICANT else "white"
            axis.plot(row.change, y, marker, color=colour, markerfacecolor=face, markersize=6)
        axis.plot([], [], marker, color=colour, label=label if len(rows) else f"{label} (none)")
    axis.axvline(0, color="#888888", linewidth=0.7)
    axis.tick_params(labelsize=8)
    axis.set_title(title, fontsize=9)
    axis.set_xlabel("change", fontsize=8)
    axis.legend(fontsize=7, frameon=False, loc="upper center", bbox_to_anchor=(0.5, -0.2))
