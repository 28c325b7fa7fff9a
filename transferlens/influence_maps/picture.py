"""The picture of influence maps: what a helpful and a harmful source class change, over the image."""

from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.data.artefacts import positions
from transferlens.influence_maps.artefacts import CHOICES, INFLUENCE_MAPS
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_WORTH_OUTLINING = 3.0  # |t| of a cell
_LARGEST_T = 6.0  # with full colour


def draw(maps_path: Path, picture: Path, classes: int) -> None:
    """One row a target class: its mean maps, and its first example with influence and t maps.

    Source and target classes are those that some models chose; what is drawn comes from the others, and the
    example is the first of its class: nothing shown decides whether it is shown.
    """
    with artefacts.open(maps_path, INFLUENCE_MAPS) as file:
        if "shown_missing" in file.attrs:
            reason = f"the same models would choose and show them ({file.attrs['shown_missing']})"
            figures.save(figures.message(f"No source class is shown: {reason}."), picture)
            return
        largest = np.abs(file["choosing_effect"][:]).max(0)
        rows = np.argsort(-largest, kind="stable")[:classes].tolist()
        shown = [file[f"shown_{prefix}_map"][:][:, rows] for prefix in ("class", "example")]
        limit = max(float(np.abs(shown).max()), 1e-9)
        figure = figures.figure(14, 2.3 * len(rows) + 0.6)
        axes = figure.subplots(len(rows), 8, squeeze=False)
        for row, axes_of_row in zip(rows, axes, strict=True):
            influence, t = _draw_row(axes_of_row, file, row, limit)
        of_cells = "influence on the logit of the true class, by cell (the bias part spread evenly)"
        for scale, columns, label in ((influence, axes[:, :6], of_cells), (t, axes[:, 6:], "t")):
            place = {"ax": columns, "orientation": "horizontal", "fraction": 0.15 / len(rows), "pad": 0.01}
            bar = figure.colorbar(scale, **place)
            bar.set_label(label, fontsize=10)
            bar.ax.tick_params(labelsize=10)
        figures.save(figure, picture)


def _members(file: h5py.File, row: int) -> np.ndarray:
    """Positions int64[n] of a class's probe examples."""
    classes = artefacts.names(file["target_class"])
    return np.flatnonzero(positions(artefacts.names(file["example_class"]), classes) == row)


def _draw_row(axes: list["Axes"], file: h5py.File, row: int, limit: float) -> tuple["AxesImage", "AxesImage"]:
    """The panels of a class; returns an image with the scale of influences, and one with that of t."""
    name, members = file["target_class"].asstr()[row], _members(file, row)
    example = int(members[0])
    image, mean = file["image"][example], file["image"][members].mean(0)
    figures.show(axes[0], mean / 255, f"{name}\nmean of {len(members)}")
    figures.show(axes[3], image, f"{name}\n{file['example'].asstr()[example]}")
    for i, word in enumerate(CHOICES):
        source = f"most {word}: {file[word].asstr()[row]}"
        for axis, prefix, under in ((axes[1 + i], "class", mean), (axes[4 + i], "example", image)):
            effect, t = _map(file, prefix, i, row)
            influence = _overlay(axis, under, effect, t, limit)
            logit, bias = (_value(file, f"shown_{prefix}_{part}", i, row) for part in ("logit", "bias"))
            axis.set_title(f"{source}\nlogit {logit}\nbias part {bias}", fontsize=7)
        t_image = _overlay(axes[6 + i], image, t, t, _LARGEST_T)
        axes[6 + i].set_title(f"{source}\nt of each cell", fontsize=7)
    for axis in axes:
        axis.set_axis_off()
    return influence, t_image


def _map(file: h5py.File, prefix: str, choice: int, row: int) -> tuple[np.ndarray, np.ndarray]:
    """A map's effects and their t-values."""
    effect, se = (file[f"shown_{prefix}_map{part}"][choice, row] for part in ("", "_se"))
    return effect, np.divide(effect, se, out=np.zeros_like(effect), where=se > 0)


def _value(file: h5py.File, name: str, choice: int, row: int) -> str:
    effect, se = (file[f"{name}{part}"][choice, row] for part in ("", "_se"))
    return f"{effect:+.2f} ± {se:.2f}"


def _overlay(axis: "Axes", image: np.ndarray, values: np.ndarray, t: np.ndarray, limit: float):
    """Cells over the paled grey image, red above zero, blue below; a line around those with a large |t|."""
    from matplotlib.collections import LineCollection

    height, width = image.shape[:2]
    everything = (0, width, height, 0)
    axis.imshow(image.mean(2), cmap="gray", vmin=-255, vmax=255, extent=everything)
    shown = axis.imshow(values, cmap=figures.DIVERGING, vmin=-limit, vmax=limit, alpha=0.7, extent=everything)
    lines = outline(np.abs(t) > _WORTH_OUTLINING) * (width / t.shape[1], height / t.shape[0])
    axis.add_collection(LineCollection(lines, colors="black", linewidths=1.2))
    return shown


def outline(chosen: np.ndarray) -> np.ndarray:
    """The edges between chosen and other cells of bool[h, w]: float[edges, 2, (x, y)]."""
    padded = np.pad(chosen, 1).astype(np.int8)
    rows, columns = np.nonzero(np.diff(padded, axis=0)[:, 1:-1])
    across = np.stack([np.stack([columns, rows], 1), np.stack([columns + 1, rows], 1)], 1)
    rows, columns = np.nonzero(np.diff(padded, axis=1)[1:-1])
    down = np.stack([np.stack([columns, rows], 1), np.stack([columns, rows + 1], 1)], 1)
    return np.concatenate([across, down]).astype(float)
