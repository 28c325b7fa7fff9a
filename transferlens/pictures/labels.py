"""Names beside the marks of a plot, where they cover neither each other nor a mark."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Where a name is tried, in points from its mark: directions, near ones first.
_DISTANCES = (9, 18, 30, 44, 60)
_DIRECTIONS = np.deg2rad([25, 155, -25, -155, 65, 115, -65, -115, 0, 180])
_MARK = 5  # half the side of the square that a mark takes, in points
_MARGIN = 1.5  # around a name, in points


def place(axis: "Axes", points: np.ndarray, names: Sequence[str], **style: Any) -> None:
    """Write names beside marks, with a thin line to those that stand away.

    A name takes the first place near its mark that is free, and inside the axes; the nearest one to its
    right where none is. Limits and size of the axes must be final.

    Args:
        points: float64[names, 2], in data coordinates.
        style: of the texts.
    """
    figure = axis.figure
    figure.draw_without_rendering()
    scale = figure.dpi / 72
    marks = axis.transData.transform(points)
    taken = [(x - _MARK * scale, y - _MARK * scale, x + _MARK * scale, y + _MARK * scale) for x, y in marks]
    frame = axis.get_window_extent().extents
    for mark, point, name in zip(marks, points, names, strict=True):
        text = axis.annotate(
            name,
            tuple(point),
            (0, 0),
            textcoords="offset points",
            arrowprops={"arrowstyle": "-", "linewidth": 0.5, "color": "#999999", "shrinkA": 0, "shrinkB": 3},
            **style,
        )
        size = text.get_window_extent().size + 2 * _MARGIN * scale
        tried = list(_boxes(mark, size, scale))
        shift, box = next(((s, b) for s, b in tried if _inside(b, frame) and _free(b, taken)), tried[0])
        text.set_position(tuple(shift))
        text.set(horizontalalignment="left", verticalalignment="bottom")
        taken.append(box)


def _boxes(
    mark: np.ndarray, size: np.ndarray, scale: float
) -> Iterator[tuple[np.ndarray, tuple[float, ...]]]:
    """Places of a name: the shift of its lower left corner in points, and its box in pixels."""
    for distance in _DISTANCES:
        for angle in _DIRECTIONS:
            towards = np.array([np.cos(angle), np.sin(angle)])
            # The corner or side that faces the mark lies in this direction.
            corner = mark + distance * scale * towards + np.where(towards < -0.5, -size, 0)
            corner = corner - np.where(np.abs(towards) <= 0.5, size / 2, 0)
            yield (corner - mark) / scale + _MARGIN, (*corner, *(corner + size))


def _inside(box: Sequence[float], frame: Sequence[float]) -> bool:
    return bool(box[0] >= frame[0] and box[1] >= frame[1] and box[2] <= frame[2] and box[3] <= frame[3])


def _free(box: Sequence[float], taken: Sequence[Sequence[float]]) -> bool:
    """Whether a box (left, bottom, right, top) covers none of those that are taken."""
    return not any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3] for other in taken
    )
