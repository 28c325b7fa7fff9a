"""A folder of images and one's own checkpoints: what each model sees in each image, as one figure.

The figure is that of the published notebook and paper (Alnouri et al. 2024): a cell an image, with the input
and, of every model, the class map of its most probable class over it. Unlike there, every panel says its
class, probability and the map's raw maximum: each map is drawn on its own scale unless they share one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from transferlens.core import files
from transferlens.core.errors import ConfigError, DataError
from transferlens.data.photographs import squares
from transferlens.maps.class_maps import ClassMaps, class_maps
from transferlens.models.network import Network
from transferlens.pictures import figures, overlays

MOST_IMAGES = 200  # in one figure
MOST_CHECKPOINTS = 8  # side by side
MOST_CLASSES = 1_000_000  # of a head
_IMAGES_AT_ONCE = 16
_PANELS_A_ROW = 8


@dataclass(frozen=True)
class Column:
    """What one model sees: the most probable class of each image, and its map.

    Attributes:
        title: what the model is.
        classes: the names of the most probable classes, one an image.
        maps: their maps, logits and probabilities.
    """

    title: str
    classes: list[str]
    maps: ClassMaps


def read_folder(folder: Path, resolution: int, crop_ratio: float) -> tuple[list[str], np.ndarray]:
    """Every image of a folder, in the order of names: (file names, uint8[n, resolution, resolution, 3]).

    What is no readable image, or has a name that no line can show, is left out with a warning.

    Raises:
        DataError: no such folder, no image in it, or more than a figure takes.
    """
    names, pixels = [], []
    for name, square in squares(folder, resolution, crop_ratio):
        names.append(name)
        pixels.append(square)
        if len(names) > MOST_IMAGES:
            raise DataError(
                f"{folder}: holds more than {MOST_IMAGES} images, too many for one figure; name a folder "
                "with fewer"
            )
    return names, np.stack(pixels)


def read_classes(text: str) -> list[str]:
    """Names of classes: a file with one a line, or how many there are.

    Raises:
        DataError: neither, no names, or more than a head has.
    """
    if text.isdecimal() and int(text) > MOST_CLASSES:
        raise DataError(
            f"classes '{text}': no head has more than {MOST_CLASSES:,}; give the number of its outputs"
        )
    if text.isdecimal() and int(text) > 0:
        return [f"class {i}" for i in range(int(text))]
    try:
        names = [line.strip() for line in files.plain(text).read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(
            f"classes '{text}': neither a number nor a readable text file; give one name a line, in the "
            "order of the head's outputs"
        ) from error
    names = [name for name in names if name]
    if not names:
        raise DataError(f"{text}: names no classes; give one name a line, in the order of the head's outputs")
    return names


def named_checkpoints(given: Sequence[str]) -> list[tuple[str, str]]:
    """(title, file) of each `name=file` or `file`; a single file without a name is the fine-tuned model.

    Several files without names are called by their own, without folder and ending.

    Raises:
        ConfigError: two models of one name, a name without a file, or more models than a row has room for.
    """
    if len(given) > MOST_CHECKPOINTS:
        raise ConfigError(
            f"--checkpoint: {len(given)} models are given, and a figure takes {MOST_CHECKPOINTS}; leave some "
            "out"
        )
    named = []
    for text in given:
        name, _, weights = text.rpartition("=") if not Path(text).is_file() else ("", "", text)
        if not weights:
            raise ConfigError(f"--checkpoint: '{text}' names no file; write {name}=FILE")
        own = Path(weights).stem if len(given) > 1 else "fine-tuned"
        named.append((name or own, weights))
    names = [name for name, _ in named]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"--checkpoint: two models are called '{name}'; name each: NAME=FILE")
    return named


def see(
    title: str,
    network: Network,
    class_names: list[str],
    images: torch.Tensor,
    method: str,
    layer: str | None = None,
) -> Column:
    """What a model sees in images float32[n, 3, side, side]: the map of each one's most probable class.

    Args:
        layer: of the backbone, by name; None for the architecture's own.
    """
    with torch.no_grad():
        top = torch.cat([network(part).argmax(1) for part in images.split(_IMAGES_AT_ONCE)]).tolist()
    return Column(title, [class_names[c] for c in top], class_maps(network, images, top, method, layer))


def draw(
    path: Path,
    names: list[str],
    pixels: np.ndarray,
    columns: list[Column],
    *,
    signed: bool,
    colormap: str = "safe",
    shared_scale: bool = False,
) -> None:
    """Write the figure: cells of an image and the map of every column, as many beside each other as fit.

    Args:
        pixels: uint8[images, side, side, 3].
        signed: whether maps show evidence against the class, too.
        colormap: `safe` for everybody's eyes, or the paper's `jet` (see `overlays`).
        shared_scale: one scale for all maps of a column (`safe`), so that weak maps look weak.
    """
    panels = 1 + len(columns)
    across = max(1, min(len(names), _PANELS_A_ROW // panels))
    rows = -(-len(names) // across)
    figure = figures.figure(1.9 * across * panels, 2.3 * rows + 0.3)
    axes = figure.subplots(rows, across * panels, squeeze=False)
    for axis in axes.flat:
        axis.set_axis_off()
    cells = axes.reshape(rows * across, panels)
    for i, (name, image) in enumerate(zip(names, pixels, strict=True)):
        cells[i, 0].imshow(image)
        cells[i, 0].set_title(f"{figures.shortened(name)}\n\n", fontsize=7)
        for axis, column in zip(cells[i, 1:], columns, strict=True):
            own = column.maps.maps[i]
            limit = float(np.abs(column.maps.maps if shared_scale else own).max())
            overlays.Scale(colormap, signed, limit).draw(axis, image, own)
            axis.set_title(_caption(column, i), fontsize=7)
    figure.suptitle(_colours(signed, colormap, shared_scale), fontsize=8)
    figures.save(figure, path)


def _caption(column: Column, i: int) -> str:
    highest = column.maps.maps[i].max()
    strength = f"raw maximum {highest:.2g}" if highest > 0 else "no positive evidence"
    shown = figures.shortened(column.classes[i])
    return f"{column.title}\n{shown}: {column.maps.probabilities[i]:.2f}\n{strength}"


def _colours(signed: bool, colormap: str, shared_scale: bool) -> str:
    """What the colours mean."""
    if colormap == "jet":
        return overlays.JET_WORDS
    scale = "largest absolute value " + ("of the column" if shared_scale else "of each map")
    return f"blue −, red + the {scale}" if signed else f"dark 0, light the {scale}"
