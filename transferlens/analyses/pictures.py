"""Panels of images with captions, and saving of figures, shared by the analyses."""

from pathlib import Path

import matplotlib
import numpy as np

from transferlens.core import store

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

HELP, HURT = "#b2182b", "#2166ac"


def show(axis: Axes, image: np.ndarray, caption: str) -> None:
    """An image uint8[height, width, 3] under a small caption, without axes."""
    axis.imshow(image)
    axis.set_title(caption, fontsize=7)
    axis.set_axis_off()


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG and close it."""
    with store.replace_file(path) as temporary:
        figure.savefig(temporary, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)


def message(text: str) -> Figure:
    """A figure that says why there is nothing to draw."""
    figure = plt.figure(figsize=(6, 0.8))
    figure.text(0.01, 0.5, text, fontsize=9, va="center")
    return figure
