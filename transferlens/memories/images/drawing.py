"""The paper's figure, and the panels of the highest ranked natural examples, drawn from the stored maps.

Panels of one kind of head share one scale, so that a weak map looks weak. The paper's own colours (`jet`)
stretch every panel to the full range instead: there only the printed raw maximum says how strong a map is.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import h5py
import numpy as np
from PIL import Image

from transferlens.core import artefacts
from transferlens.memories.images.artefacts import FIGURE_ROLES, PANELS, PARTS, ROLES
from transferlens.pictures import figures, overlays

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure

# name: (matplotlib's colours, smallest value as a multiple of the largest)
COLORMAPS = {"diverging": (figures.DIVERGING, -1), "magma": ("magma", 0), "jet": ("jet", 0)}
_EXAMPLES_SHOWN = 8
_HEADS = {"source": "source heads", "target": "target heads"}
_EXAMPLE_ROLES = {"predicted": "predicted", "true": "true", "memory": "source class", "contrast": "against"}


@dataclass(frozen=True)
class Shown:
    """What is drawn of some images.

    Attributes:
        image: uint8[n, side, side, 3].
        roles: of the maps.
        maps: float64[roles, n, h, w]; the rest is of these: [roles, n].
        classes: their classes' names.
        limits: the largest absolute value of the roles' maps, by kind of head.
    """

    image: np.ndarray
    roles: list[str]
    maps: np.ndarray
    classes: np.ndarray
    probability: np.ndarray
    logit: np.ndarray
    raw_max: np.ndarray
    limits: dict[str, float]


def _read_shown(file: h5py.File, prefix: str, roles: Iterable[str], count: int | None = None) -> Shown:
    """The first `count` images with their maps by some roles."""
    stored = artefacts.names(file[f"{prefix}role"])
    chosen = [stored.index(role) for role in roles]
    maps = file[f"{prefix}class_map"][:, :count][chosen].astype(np.float64)
    limits = dict.fromkeys(_HEADS, 0.0)
    for role, of_role in zip(roles, maps, strict=True):
        head = ROLES[role][0]
        limits[head] = max(limits[head], float(np.abs(of_role).max()))
    return Shown(
        file[f"{prefix}image"][:count],
        list(roles),
        maps,
        np.array(artefacts.names(file[f"{prefix}class_name"]), dtype=object)[chosen, :count],
        *(file[f"{prefix}{name}"][:, :count][chosen] for name in ("probability", "logit", "raw_max")),
        limits,
    )


def draw_figure(path: Path, picture: Path, colormap: str) -> None:
    """By cell, columns input, source model, fine-tuned, scratch; rows background, overlay, composite."""
    with artefacts.open(path, PANELS) as file:
        if "figure_image" not in file:
            reason = (
                file.attrs.get("skipped") or "no pair of classes has enough composites in the select half"
            )
            figures.save(figures.message(f"No composites to draw: {reason}."), picture)
            return
        cells = len(file["figure_interference"])
        figure = figures.figure(7, 5.9 * cells + 0.7)
        *blocks, bottom = _blocks(figure, [5.9] * cells + [0.7])
        shown = _read_shown(file, "figure_", FIGURE_ROLES)
        titles = _cell_titles(file)
    for i, (block, title) in enumerate(zip(blocks, titles, strict=True)):
        block.suptitle(title, fontsize=10)
        _draw_cell(block, shown, i, colormap)
    _draw_scales(bottom, shown.limits, colormap)
    figures.save(figure, picture)


def _blocks(figure: "Figure", heights: list[float]) -> list["SubFigure"]:
    return list(figure.subfigures(len(heights), 1, height_ratios=heights, squeeze=False)[:, 0])


def _cell_titles(file: h5py.File) -> list[str]:
    """The two classes of every cell of the figure, and how they interfere."""
    names = (artefacts.names(file[f"figure_{head}_class"]) for head in _HEADS)
    numbers = (file[f"figure_interference{suffix}"][:] for suffix in ("", "_low", "_high", "_q"))
    return [
        f"{source} behind {target}: interference {_told(*told)}"
        for source, target, *told in zip(*names, *numbers, strict=True)
    ]


def _told(effect: float, low: float, high: float, q: float) -> str:
    """A cell's effect on the report half, its interval and its q, as far as there are any."""
    if np.isnan(effect):
        return "not estimated: too few usable composites"
    reach = "" if np.isnan(low) else f" ({low:+.2f} to {high:+.2f})"
    return f"{effect:+.2f}{reach}, " + ("not tested" if np.isnan(q) else f"q {q:.2g}")


def _draw_cell(block: "SubFigure", shown: Shown, i: int, colormap: str) -> None:
    axes = block.subplots(len(PARTS), 1 + len(shown.roles))
    for part, (name, line) in enumerate(zip(PARTS, axes, strict=True)):
        row = i * len(PARTS) + part
        _show(line[0], shown.image[row], "input" if part == 0 else "")
        line[0].set_ylabel(name, fontsize=9)
        for place, axis in enumerate(line[1:]):
            title = f"{FIGURE_ROLES[shown.roles[place]]}\n" if part == 0 else ""
            _draw_panel(axis, shown, place, row, colormap, title)


def draw_examples(path: Path, picture: Path, colormap: str) -> None:
    """One row an example: input, then the maps of the predicted class, true class, memory and contrast."""
    with artefacts.open(path, PANELS) as file:
        natural = artefacts.names(file["kind"]).count("natural")  # these come first
        count = min(natural, _EXAMPLES_SHOWN)
        shown = _read_shown(file, "", _EXAMPLE_ROLES, count)
        titles = _example_titles(file, count)
    figure = figures.figure(10.2, 2.15 * count + 0.7)
    top, bottom = _blocks(figure, [2.15 * count, 0.7])
    axes = top.subplots(count, 1 + len(_EXAMPLE_ROLES), squeeze=False)
    for row, (line, title) in enumerate(zip(axes, titles, strict=True)):
        _show(line[0], shown.image[row], title)
        for place, (axis, word) in enumerate(zip(line[1:], _EXAMPLE_ROLES.values(), strict=True)):
            _draw_panel(axis, shown, place, row, colormap, f"{word} ")
    _draw_scales(bottom, shown.limits, colormap)
    figures.save(figure, picture)


def _example_titles(file: h5py.File, count: int) -> list[str]:
    """True class, verdict and scores of the first examples."""
    numbers = (file[name][:count] for name in ("wrong", "distraction", "overlap", "removal_effect_p"))
    titles = []
    for true, wrong, distraction, overlap, p in zip(
        artefacts.names(file["true"])[:count], *numbers, strict=True
    ):
        rescue = "" if np.isnan(p) else f", removal p {p:.2g}"
        verdict = "wrong" if wrong else "right"
        titles.append(f"{true}, {verdict}\nD {distraction:.2f}, O {overlap:.2f}{rescue}")
    return titles


def _draw_panel(axis: "Axes", shown: Shown, place: int, row: int, colormap: str, title: str) -> None:
    """A role's map over the image, under the class, its probability and the map's raw maximum."""
    role, highest = shown.roles[place], shown.raw_max[place, row]
    limit = shown.limits[ROLES[role][0]]
    _show(axis, blend(shown.image[row], shown.maps[place, row], limit, colormap), "")
    strength = f"max {highest:.2g}" if highest > 0 else "no positive evidence"
    words = f"p {shown.probability[place, row]:.2f}, {strength}"
    if role == "contrast":
        words = f"logits {shown.logit[place, row]:+.1f}, {strength}"
    axis.set_title(f"{title}{shown.classes[place, row]}\n{words}", fontsize=8)


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
