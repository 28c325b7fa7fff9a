"""Class maps of the same examples, from every recipe and run that drew them, next to each other."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from transferlens.core import labelled
from transferlens.operations.compared.folders import Folder
from transferlens.pictures import figures
from transferlens.pictures.overlays import Scale

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ROLE = "true"  # evidence for the true class: the same question in every run
_EXAMPLES = 8


def drawn(folders: Sequence[Folder], target: str) -> dict[str, xr.Dataset]:
    """Maps of a target's examples, by folder and recipe."""
    start, found = f"heatmaps/{target}/", {}
    for folder in folders:
        for place in sorted(place for place in folder.made if place.startswith(start)):
            recipe = place.removeprefix(start).removesuffix(".h5")
            found[f"{folder.letter}: {recipe}"] = folder.results.heatmaps(target, recipe)
    return found


def common_examples(maps: dict[str, xr.Dataset]) -> list[str]:
    """Examples that at least two recipes or runs drew, those that most did first."""
    ids = [str(name) for dataset in maps.values() for name in dataset.example.values]
    counts = {name: ids.count(name) for name in dict.fromkeys(ids)}
    return [name for name in sorted(counts, key=lambda name: -counts[name]) if counts[name] > 1]


def side_by_side(maps: dict[str, xr.Dataset]) -> "Figure":
    """The evidence for the true class in every column's model, a row for each common example."""
    examples = common_examples(maps)[:_EXAMPLES]
    figure = figures.figure(1.4 + 1.9 * len(maps), 0.6 + 1.8 * len(examples))
    axes = figure.subplots(len(examples), len(maps) + 1, squeeze=False)
    for row, example in zip(axes, examples, strict=True):
        holder = next(m for m in maps.values() if example in m.example.values).sel(example=example)
        figures.show(row[0], holder.image.values, f"{example}\n{holder.true.item()}")
        for axis, (name, dataset) in zip(row[1:], maps.items(), strict=True):
            axis.set_axis_off()
            if example not in dataset.example.values:
                axis.set_title(f"{name}\nnot drawn", fontsize=7)
                continue
            one = dataset.sel(example=example, role=_ROLE)
            _scale(dataset).draw(axis, one.image.values, one.class_map.values)
            axis.set_title(f"{name}\np(true) {float(one.probability):.2f}", fontsize=7)
    return figure


def _scale(maps: xr.Dataset) -> Scale:
    """One for all maps of a column, as its study drew them; columns may be of different methods."""
    limit = float(np.abs(maps.class_map.sel(role=_ROLE)).max()) or 1.0
    return Scale(str(labelled.settings(maps)["colormap"]), bool(maps.attrs["signed"]), limit)
