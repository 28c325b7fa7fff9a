"""The one place that makes figures: matplotlib's set-up, the colours of all pictures, and how they are saved.

matplotlib is imported at the first figure, so that a room with pictures is imported as fast as one without,
and without pyplot, which would keep every figure and choose a window system.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from transferlens.core import files

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

HELP, HURT = "#b2182b", "#2166ac"  # the ends of RdBu, told apart by colour-blind readers
DIVERGING = "RdBu_r"  # colours of signed values: red above zero, blue below
NEUTRAL, ERROR_BARS = "#777777", "#444444"
# Eight colours that the colour-blind tell apart (Okabe and Ito 2008).
ORANGE, SKY_BLUE, GREEN, YELLOW = "#E69F00", "#56B4E9", "#009E73", "#F0E442"
BLUE, VERMILION, PURPLE, BLACK = "#0072B2", "#D55E00", "#CC79A7", "#000000"
SIGNIFICANT = 0.05  # q-values below it are marked
_UNITS = {"margin": "margin (nats)", "p_true": "probability of the true class"}
_METADATA = {"svg": {"Date": None}, "png": {"Software": None}}  # equal data give an equal file
_PAD = 1.2  # around the parts of a tight layout, as a multiple of the font size
_STYLE = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "transferlens",  # names of an SVG's parts, drawn at random without
    "svg.fonttype": "none",
}


@cache
def _set_up() -> None:
    import matplotlib

    matplotlib.rcParams.update(_STYLE)


def figure(width: float, height: float, layout: str = "constrained") -> "Figure":
    """An empty figure of so many inches; `layout` is matplotlib's way to make room for its texts."""
    _set_up()
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import TightLayoutEngine

    engine = TightLayoutEngine(pad=_PAD) if layout == "tight" else layout
    return Figure(figsize=(width, height), layout=engine)


def save(figure: "Figure", path: Path, dpi: int = 110) -> None:
    """Write a figure, whole or not at all, as what the file's suffix says: `.png` or `.svg`."""
    _set_up()
    kind = path.suffix[1:]
    with files.replace_file(path) as temporary:
        figure.savefig(temporary, format=kind, dpi=dpi, metadata=_METADATA[kind])


def message(text: str) -> "Figure":
    """A figure that says why there is nothing to draw."""
    empty = figure(8, 0.8, layout="none")
    empty.text(0.01, 0.5, text, va="center", wrap=True)
    return empty


def show(axis: "Axes", image: np.ndarray, caption: str, fontsize: float = 7) -> None:
    """An image [height, width, 3] under a small caption, without axes."""
    axis.imshow(image)
    axis.set_title(caption, fontsize=fontsize)
    axis.set_axis_off()


def unit(output: str) -> str:
    """A model's output in the words of an axis."""
    return _UNITS.get(output, output)


def colours(name: str) -> "Colormap":
    """A colour map of matplotlib's, by name."""
    import matplotlib

    return matplotlib.colormaps[name]


def shortened(name: str, longest: int = 24) -> str:
    """A name of at most so many letters, without what stands in brackets behind it (WordNet ids)."""
    plain = name.split(" (")[0]
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"
