"""Heat maps with their numbers in the cells, hatched where nothing was told from chance."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from transferlens.pictures import figures

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

CELL = 0.37, 0.26  # width and height of a cell, in inches
MARGINS = 2.4, 1.5  # of a figure, for names of layers, titles and the scale
_COLOURS = "viridis"
_BRIGHT = 0.6  # values from which colours are so bright that numbers are black
_MOST = 18  # columns up to which numbers are legible
_HATCH = {"fill": False, "hatch": "/////", "edgecolor": "#c8c8c8", "linewidth": 0}
_GROUND = {"facecolor": "white", "alpha": 0.85, "linewidth": 0, "pad": 1}  # of numbers in hatched cells


def size(rows: int, columns: int) -> tuple[float, float]:
    """Width and height of a figure with so many cells down and across, in all panels together."""
    return MARGINS[0] + CELL[0] * max(columns, 8), MARGINS[1] + CELL[1] * max(rows, 4)


def paint(
    axis: "Axes",
    values: np.ndarray,
    rows: Sequence[str],
    columns: Sequence[str],
    chance: np.ndarray | None = None,
    numbered: bool = True,
) -> "AxesImage":
    """Draw values float64[rows, columns] between 0 and 1; those outside take the colour of the nearer end.

    Args:
        chance: bool[rows, columns], the cells that are hatched.
        numbered: whether cells hold their numbers, where there is room for them.
    """
    colours = figures.colours(_COLOURS).with_extremes(bad="#e6e6e6")
    picture = axis.imshow(np.ma.masked_invalid(values), aspect="auto", cmap=colours, vmin=0, vmax=1)
    axis.set_yticks(range(len(rows)), rows, fontsize=8)
    axis.set_xticks(range(len(columns)), columns, fontsize=8)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
    if chance is not None:
        _hatch(axis, chance)
    if numbered and len(columns) <= _MOST:
        _number(axis, values, np.zeros(values.shape, bool) if chance is None else chance)
    return picture


def _hatch(axis: "Axes", chance: np.ndarray) -> None:
    from matplotlib.patches import Rectangle

    for row, column in np.argwhere(chance):
        axis.add_patch(Rectangle((column - 0.5, row - 0.5), 1, 1, **_HATCH))


def _number(axis: "Axes", values: np.ndarray, chance: np.ndarray) -> None:
    """Two digits in each cell, a dash where there is no number; on a light ground where it is hatched."""
    for (row, column), value in np.ndenumerate(values):
        text = "–" if np.isnan(value) else _short(value)
        dark = np.isnan(value) or value >= _BRIGHT or chance[row, column]
        ground = _GROUND if chance[row, column] else None
        style = {"fontsize": 7, "color": "black" if dark else "white", "bbox": ground}
        axis.text(column, row, text, ha="center", va="center", **style)


def _short(value: float) -> str:
    """Two digits, without a zero before the point."""
    text = f"{abs(value):.2f}".removeprefix("0")
    return f"−{text}" if value < 0 else text
