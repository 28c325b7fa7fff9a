"""The picture of influence maps: what a helpful and a harmful source class change, over the image."""

from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.data.artefacts import positions
from transferlens.influence_maps.artefacts import INFLUENCE_MAPS
from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

_CHOICES = ("helpful", "harmful")
_WORTH_OUTLINING = 3.0  # |t| of a cell
_LARGEST_T = 6.0  # with full colour


def draw(maps_path: Path, picture: Path, classes: int) -> None:
    """One row a target class: its mean maps, and an example with its influence and t maps.

    Target and source classes are chosen on the select half, and the example is the first of its class in the
    probe set: nothing shown decides whether it is shown.
    """
    with artefacts.open(maps_path, INFLUENCE_MAPS) as file:
        rows = _strongest(file, classes)
        limit = max(_largest_effect(file, rows), 1e-9)
        figure = figures.figure(14, 2.3 * len(rows) + 0.6)
        axes = figure.subplots(len(rows), 8, squeeze=False)
        for row, axes_of_row in zip(rows, axes, strict=True):
            influence, t = _draw_row(axes_of_row, file, row, limit)
        of_cells = "influence on the logit of the true class, by cell (the bias part spread evenly)"
        for shown, columns, label in ((influence, axes[:, :6], of_cells), (t, axes[:, 6:], "t")):
            place = {"ax": columns, "orientation": "horizontal", "fraction": 0.15 / len(rows), "pad": 0.01}
            bar = figure.colorbar(shown, **place)
            bar.set_label(label, fontsize=10)
            bar.ax.tick_params(labelsize=10)
        figures.save(figure, picture)


def _strongest(file: h5py.File, classes: int) -> list[int]:
    """The classes with the largest influences on the select half (of either sign), largest first."""
    size = np.abs([file[f"{name}_effect"][:] for name in _CHOICES]).max(0)
    return np.argsort(-size, kind="stable")[:classes].tolist()


def _largest_effect(file: h5py.File, rows: list[int]) -> float:
    """The largest effect that is shown: all maps share one scale."""
    chosen = [(row, _chosen(file, name, row)) for row in rows for name in _CHOICES]
    return max(
        max(
            np.abs(file["class_logit_map_effect"][row, unit]).max(),
            np.abs(file["logit_map_effect"][_members(file, row)[0], unit]).max(),
        )
        for row, unit in chosen
    )


def _chosen(file: h5py.File, choice: str, row: int) -> int:
    """The position of a class's most helpful or harmful source class."""
    return artefacts.names(file["source_class"]).index(file[choice].asstr()[row])


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
    for i, word in enumerate(_CHOICES):
        unit = _chosen(file, word, row)
        source = f"most {word}: {file[word].asstr()[row]}"
        for axis, prefix, at, under in (
            (axes[1 + i], "class_", row, mean),
            (axes[4 + i], "", example, image),
        ):
            effect, t = _map(file, f"{prefix}logit_map", at, unit)
            influence = _overlay(axis, under, effect, t, limit)
            logit, bias = (_value(file, f"{prefix}{part}", at, unit) for part in ("logit", "bias"))
            axis.set_title(f"{source}\nlogit {logit}\nbias part {bias}", fontsize=7)
        t_image = _overlay(axes[6 + i], image, t, t, _LARGEST_T)
        axes[6 + i].set_title(f"{source}\nt of each cell", fontsize=7)
    for axis in axes:
        axis.set_axis_off()
    return influence, t_image


def _map(file: h5py.File, name: str, at: int, unit: int) -> tuple[np.ndarray, np.ndarray]:
    """A map's effects and their t-values."""
    effect, se = (file[f"{name}_{key}"][at, unit] for key in ("effect", "effect_se"))
    return effect, np.divide(effect, se, out=np.zeros_like(effect), where=se > 0)


def _value(file: h5py.File, name: str, at: int, unit: int) -> str:
    effect, se = (file[f"{name}_{key}"][at, unit] for key in ("effect", "effect_se"))
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
