"""The paper's figure, and the panels of the highest ranked natural examples, drawn from the stored maps.

Panels of one kind of head share one scale, so that a weak map looks weak. The paper's own colours (`jet`)
stretch every panel to the full range instead: there only the printed raw maximum says how strong a map is.
"""

from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from PIL import Image

from transferlens.core import store
from transferlens.memories.images import panels
from transferlens.pictures import figures, overlays

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# name: (matplotlib's colours, smallest value as a multiple of the largest)
COLORMAPS = {"diverging": (figures.DIVERGING, -1), "magma": ("magma", 0), "jet": ("jet", 0)}
_EXAMPLES_SHOWN = 8
_HEADS = {"source": "source heads", "target": "target heads"}
_EXAMPLE_ROLES = {"predicted": "predicted", "true": "true", "memory": "memory", "contrast": "against"}


def draw_figure(path: Path, picture: Path, colormap: str) -> None:
    """By cell, columns input, source model, fine-tuned, scratch; rows background, overlay, composite."""
    with store.open(path, panels.KIND) as file:
        if "figure" not in file:
            reason = (
                file.attrs.get("skipped") or "no pair of classes has enough composites in the select half"
            )
            figures.save(figures.message(f"No composites to draw: {reason}."), picture)
            return
        cells = len(file["figure/effect"])
        figure = figures.figure(7, 5.9 * cells + 0.7)
        *blocks, bottom = _blocks(figure, [5.9] * cells + [0.7])
        limits = _limits(file["figure"], panels.FIGURE_ROLES)
        for i, block in enumerate(blocks):
            _draw_cell(block, file, i, limits, colormap)
        _draw_scales(bottom, limits, colormap)
        figures.save(figure, picture)


def _blocks(figure: "Figure", heights: list[float]) -> list["SubFigure"]:
    return list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])


def _draw_cell(block: "SubFigure", file: h5py.File, i: int, limits: dict[str, float], colormap: str) -> None:
    group, names = file["figure"], _names(file)
    block.suptitle(
        f"{names['source'][group['source_class'][i]]} behind {names['target'][group['target_class'][i]]}: "
        f"interference {group['effect'][i]:+.2f} ({group['low'][i]:+.2f} to {group['high'][i]:+.2f}), "
        f"q {group['q'][i]:.2g}",
        fontsize=10,
    )
    axes = block.subplots(len(panels.PARTS), 1 + len(panels.FIGURE_ROLES))
    for part, (name, line) in enumerate(zip(panels.PARTS, axes, strict=True)):
        row = i * len(panels.PARTS) + part
        _show(line[0], group["image"][row], "input" if part == 0 else "")
        line[0].set_ylabel(name, fontsize=9)
        for axis, (role, word) in zip(line[1:], panels.FIGURE_ROLES.items(), strict=True):
            title = word if part == 0 else ""
            _draw_panel(axis, group, role, row, names, limits, colormap, title)


def draw_examples(path: Path, picture: Path, colormap: str) -> None:
    """One row an example: input, then the maps of the predicted class, true class, memory and contrast."""
    with store.open(path, panels.KIND) as file:
        rows = [i for i, kind in enumerate(store.strings(file["kind"])) if kind == "natural"]
        rows = rows[:_EXAMPLES_SHOWN]
        names, limits = _names(file), _limits(file, _EXAMPLE_ROLES, rows)
        figure = figures.figure(10.2, 2.15 * len(rows) + 0.7)
        top, bottom = _blocks(figure, [2.15 * len(rows), 0.7])
        axes = top.subplots(len(rows), 1 + len(_EXAMPLE_ROLES), squeeze=False)
        for line, row in zip(axes, rows, strict=True):
            _show(line[0], file["image"][row], _example_title(file, row, names))
            for axis, (role, word) in zip(line[1:], _EXAMPLE_ROLES.items(), strict=True):
                _draw_panel(axis, file, role, row, names, limits, colormap, word)
        _draw_scales(bottom, limits, colormap)
        figures.save(figure, picture)


def _example_title(file: h5py.File, row: int, names: dict[str, list[str]]) -> str:
    verdict = "wrong" if file["wrong"][row] else "right"
    p = file["removal_p"][row]
    rescue = "" if np.isnan(p) else f", removal p {p:.2g}"
    return (
        f"{names['target'][file['true'][row]]}, {verdict}\n"
        f"D {file['distraction'][row]:.2f}, O {file['overlap'][row]:.2f}{rescue}"
    )


def _names(file: h5py.File) -> dict[str, list[str]]:
    return {head: store.strings(file[f"{head}_class_names"]) for head in _HEADS}


def _limits(group: h5py.Group, roles, rows=slice(None)) -> dict[str, float]:
    """The largest absolute value of the roles' maps, by kind of head."""
    found = dict.fromkeys(_HEADS, 0.0)
    for role in roles:
        head = panels.ROLES[role][0]
        found[head] = max(found[head], float(np.abs(group[f"maps/{role}/map"][rows]).max()))
    return found


def _draw_panel(axis: "Axes", group, role: str, row: int, names, limits, colormap: str, title: str) -> None:
    """A role's map over the image, under the class, its probability and the map's raw maximum."""
    maps, head = group[f"maps/{role}"], panels.ROLES[role][0]
    image, highest = group["image"][row], maps["raw_max"][row]
    _show(axis, blend(image, maps["map"][row].astype(np.float64), limits[head], colormap), "")
    strength = f"max {highest:.2g}" if highest > 0 else "no positive evidence"
    name = names[head][maps["class"][row]]
    shown = f"p {maps['probability'][row]:.2f}, {strength}"
    if role == "contrast":
        shown = f"logits {maps['logit'][row]:+.1f}, {strength}"
    words = f"{title} {name}" if role in _EXAMPLE_ROLES and group.name == "/" else f"{title}\n{name}".strip()
    axis.set_title(f"{words}\n{shown}", fontsize=8)


def blend(image: np.ndarray, evidence: np.ndarray, limit: float, colormap: str) -> np.ndarray:
    """The image uint8[side, side, 3] under its map [h, w]: float[side, side, 3] in [0, 1].

    A map without positive evidence is not drawn where colours stand for positive evidence alone.
    """
    picture, large = image / 255, enlarged(evidence, image.shape[0])
    grey = np.repeat(picture.mean(2, keepdims=True), 3, 2)
    colours = figures.colours(COLORMAPS[colormap][0])
    if colormap == "jet":
        if evidence.max() <= 0:
            return picture
        return overlays.published(image, evidence.clip(min=0)) / 255
    if evidence.max() <= 0 and colormap == "magma":
        return grey
    relative = (large / limit).clip(-1, 1)
    if colormap == "magma":
        return 0.4 * grey + 0.6 * colours(relative.clip(min=0))[..., :3]
    # The image, brightened, times the colour: white where there is no evidence, so that the image stays.
    return (0.6 + 0.4 * grey) * colours((relative + 1) / 2)[..., :3]


def enlarged(evidence: np.ndarray, side: int) -> np.ndarray:
    """A map [h, w] on the pixels of its image [side, side], bilinearly."""
    return np.asarray(
        Image.fromarray(evidence.astype(np.float32)).resize((side, side), Image.Resampling.BILINEAR)
    )


def _draw_scales(block: "SubFigure", limits: dict[str, float], colormap: str) -> None:
    """One scale for each kind of head; a line of words for colours that have none."""
    if colormap == "jet":
        block.text(0.5, 0.4, "each panel stretched to the full range of colours", ha="center", fontsize=8)
        return
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    name, lowest = COLORMAPS[colormap]
    for axis, (head, words) in zip(block.subplots(1, len(_HEADS)), _HEADS.items(), strict=True):
        scale = ScalarMappable(Normalize(lowest * limits[head], limits[head]), name)
        bar = axis.figure.colorbar(scale, cax=axis, orientation="horizontal")
        bar.set_label(f"evidence a cell, {words} (logit units)", fontsize=8)
        axis.tick_params(labelsize=7)


def _show(axis: "Axes", image: np.ndarray, caption: str) -> None:
    axis.imshow(image)
    axis.set_title(caption, fontsize=8)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
