"""The picture of influence maps: what a helpful and a harmful source class change, over the image."""

from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np

from transferlens.core import store
from transferlens.influence_maps.estimates import KIND
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
    with store.open(maps_path, KIND) as file:
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
    size = np.abs([file[f"chosen/{name}_effect"][:] for name in _CHOICES]).max(0)
    return np.argsort(-size, kind="stable")[:classes].tolist()


def _largest_effect(file: h5py.File, rows: list[int]) -> float:
    """The largest effect that is shown: all maps share one scale."""
    chosen = [(row, int(file[f"chosen/{name}"][row])) for row in rows for name in _CHOICES]
    first = _first_examples(file)
    return max(
        max(
            np.abs(file["class/logit_map/effect"][row, unit]).max(),
            np.abs(file["logit_map/effect"][first[row], unit]).max(),
        )
        for row, unit in chosen
    )


def _first_examples(file: h5py.File) -> list[int]:
    """The first probe example of each class."""
    return np.unique(file["example_labels"][:], return_index=True)[1].tolist()


def _draw_row(axes: list["Axes"], file: h5py.File, row: int, limit: float) -> tuple["AxesImage", "AxesImage"]:
    """The panels of a class; returns an image with the scale of influences, and one with that of t."""
    name, example = file["target_class_names"].asstr()[file["classes"][row]], _first_examples(file)[row]
    members = np.flatnonzero(file["example_labels"][:] == file["classes"][row])
    image, mean = file["images"][example], file["images"][members].mean(0)
    figures.show(axes[0], mean / 255, f"{name}\nmean of {len(members)}")
    figures.show(axes[3], image, f"{name}\n{file['example_ids'].asstr()[example]}")
    for i, word in enumerate(_CHOICES):
        unit = int(file[f"chosen/{word}"][row])
        source = f"most {word}: {file['unit_names'].asstr()[unit]}"
        for axis, prefix, at, under in (
            (axes[1 + i], "class/", row, mean),
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
    effect, se = (file[f"{name}/{key}"][at, unit] for key in ("effect", "se"))
    return effect, np.divide(effect, se, out=np.zeros_like(effect), where=se > 0)


def _value(file: h5py.File, name: str, at: int, unit: int) -> str:
    effect, se = (file[f"{name}/{key}"][at, unit] for key in ("effect", "se"))
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
