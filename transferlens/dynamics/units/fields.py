"""What the cells of a layer see of the image, and its arithmetic: what the outcome of one operation sees.

Operations are named as torch names them (`aten`). Those that no rule knows are taken to mix all positions: a
field is never told smaller than it is.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Fields:
    """What the cells of a layer's grid [h, w] see of an image.

    Attributes:
        rows: int64[h, 2], for each row of cells the first image row and the one after the last; [1, 2] where
            every cell sees the whole image.
        columns: int64[w, 2], the same of columns.
        mixed_by: the operations for which every cell sees the whole image; none where it has a field of its
            own.
        axes: of the tensor, along which rows and columns of cells lie.
    """

    rows: np.ndarray
    columns: np.ndarray
    mixed_by: tuple[str, ...] = ()
    axes: tuple[int, int] = (2, 3)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the largest field, in pixels."""
        height, width = (int(np.diff(seen).max()) for seen in (self.rows, self.columns))
        return height, width

    def boxes(self, cells: np.ndarray) -> np.ndarray:
        """Fields int64[..., 4] of cells int[..., 2] (row, column): top, bottom, left, right, ends open."""
        places = np.zeros_like(cells) if self.mixed_by else cells
        return np.concatenate([self.rows[places[..., 0]], self.columns[places[..., 1]]], axis=-1)


# Attention, and its product where it is written out.
_ATTENTION = ("scaled_dot_product_attention", "matmul")
Rule = Callable[["Call", torch.Tensor], Fields]


@dataclass(frozen=True)
class Call:
    """An operation, what it was called with, and the fields of those inputs that are made of the image."""

    function: Any
    args: tuple
    kwargs: dict[str, Any]
    given: list[Fields]

    @property
    def name(self) -> str:
        """Without its overload, and without the mark of working in place."""
        return self.function.overloadpacket.__name__.rstrip("_")

    def argument(self, name: str, otherwise: Any = None) -> Any:
        """An argument by its name, or its default; `otherwise` where the operation has none such."""
        for place, argument in enumerate(self.function._schema.arguments):
            if argument.name == name:
                given = self.args[place] if place < len(self.args) else argument.default_value
                return self.kwargs.get(name, given)
        return otherwise


def seen(call: Call, outcome: torch.Tensor) -> Fields:
    """What the outcome of an operation sees."""
    if torch.Tag.pointwise in call.function.tags:
        return _any_input(call, outcome)
    return _RULES.get(call.name, _everything)(call, outcome)


def _everything(call: Call, _outcome: torch.Tensor) -> Fields:
    """All that any cell of the inputs sees; told is the operation that mixed first, and attention."""
    reasons = _reasons(call)
    if not reasons or call.name in _ATTENTION:
        reasons = dict.fromkeys([*reasons, call.name])
    rows = _hull(np.concatenate([fields.rows for fields in call.given]))
    return Fields(rows, _hull(np.concatenate([fields.columns for fields in call.given])), tuple(reasons))


def _hull(intervals: np.ndarray) -> np.ndarray:
    """The smallest interval [1, 2] that holds intervals [n, 2]."""
    return np.array([[intervals[:, 0].min(), intervals[:, 1].max()]])


def _reasons(call: Call) -> dict[str, None]:
    return dict.fromkeys(name for fields in call.given for name in fields.mixed_by)


def _any_input(call: Call, outcome: torch.Tensor) -> Fields:
    """Cell by cell what any of the inputs sees; one interval for all cells goes with every cell."""
    axes = {fields.axes for fields in call.given if not fields.mixed_by}
    if len(axes) > 1:
        return _everything(call, outcome)
    first = call.given[0]
    rows, columns = first.rows, first.columns
    for fields in call.given[1:]:
        rows, columns = _either(rows, fields.rows), _either(columns, fields.columns)
    return Fields(rows, columns, tuple(_reasons(call)), axes.pop() if axes else first.axes)


def _either(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """The smallest intervals [n, 2] that hold those of both."""
    starts, ends = np.minimum(first[:, 0], second[:, 0]), np.maximum(first[:, 1], second[:, 1])
    return np.stack([starts, ends], axis=1)


# Windows of cells


def _windowed(call: Call, outcome: torch.Tensor) -> Fields:
    """A convolution or a pooling with a kernel."""
    (fields,) = call.given
    if fields.mixed_by:
        return fields
    if fields.axes != (2, 3) or outcome.ndim != 4:
        return _everything(call, outcome)
    weight = call.argument("weight")
    kernel = _pair(call.argument("kernel_size") if weight is None else weight.shape[2:])
    stride = _pair(call.argument("stride") or kernel)  # of poolings, the kernel's size if none is given
    dilation, padding = _pair(call.argument("dilation", 1)), call.argument("padding")
    if isinstance(padding, str):
        around = [d * (k - 1) // 2 for d, k in zip(dilation, kernel, strict=True)]
        padding = around if padding == "same" else 0
    geometry = zip(kernel, stride, _pair(padding), dilation, outcome.shape[2:], strict=True)
    rows, columns = (
        np.array([_window(intervals, cell, *of_axis[:4]) for cell in range(of_axis[4])])
        for intervals, of_axis in zip((fields.rows, fields.columns), geometry, strict=True)
    )
    return replace(fields, rows=rows, columns=columns)


def _pair(value: Any) -> tuple[int, int]:
    """A number for both axes, or one for each."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return (numbers * 2)[:2]


def _window(
    intervals: np.ndarray, cell: int, kernel: int, stride: int, padding: int, dilation: int
) -> tuple[int, int]:
    """What a cell's window along one axis sees, of intervals [n, 2]."""
    reached = cell * stride - padding + dilation * np.arange(kernel)
    inside = intervals[reached[(reached >= 0) & (reached < len(intervals))]]
    return inside[:, 0].min(), inside[:, 1].max()


def _binned(call: Call, outcome: torch.Tensor) -> Fields:
    """An adaptive pooling: bin i of m goes over cells floor(i n / m) to ceil((i + 1) n / m)."""
    (fields,) = call.given
    height, width = outcome.shape[-2:]
    if fields.mixed_by:
        return fields
    if fields.axes != (2, 3) or height * width == 1 < len(fields.rows) * len(fields.columns):
        return _everything(call, outcome)
    return replace(fields, rows=_bins(fields.rows, height), columns=_bins(fields.columns, width))


def _bins(intervals: np.ndarray, bins: int) -> np.ndarray:
    edges = np.arange(bins + 1) * len(intervals)
    starts, ends = edges[:-1] // bins, -(-edges[1:] // bins)
    return np.concatenate([_hull(intervals[start:end]) for start, end in zip(starts, ends, strict=True)])


# Operations along some axes of a tensor, which leave cells alone where these are others


def _along(axes_of: Callable[[Call, int], Iterable[int]]) -> Rule:
    def rule(call: Call, outcome: torch.Tensor) -> Fields:
        touched = {axis % outcome.ndim for axis in axes_of(call, outcome.ndim)}
        own = {axis for fields in call.given if not fields.mixed_by for axis in fields.axes}
        return _everything(call, outcome) if touched & own else _any_input(call, outcome)

    return rule


def _normalised(call: Call, ndim: int) -> range:
    return range(ndim - len(call.argument("normalized_shape")), ndim)


def _statistics(call: Call, ndim: int) -> range:
    """A batch normalisation by the batch's own statistics goes over all positions."""
    return range(ndim if call.argument("training") else 0)


# Operations that lay the axes of a tensor out anew


def _moved(order_of: Callable[[Call, int], Iterable[int]]) -> Rule:
    def rule(call: Call, outcome: torch.Tensor) -> Fields:
        (fields,) = call.given
        if fields.mixed_by:
            return fields
        order = [axis % outcome.ndim for axis in order_of(call, outcome.ndim)]
        row, column = (order.index(axis) for axis in fields.axes)
        return replace(fields, axes=(row, column))

    return rule


def _swapped(call: Call, ndim: int) -> list[int]:
    order = list(range(ndim))
    first, second = call.argument("dim0"), call.argument("dim1")
    order[first], order[second] = order[second], order[first]
    return order


_RULES: dict[str, Rule] = {
    **dict.fromkeys(("conv2d", "max_pool2d", "avg_pool2d"), _windowed),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), _binned),
    **dict.fromkeys(("dropout", "feature_dropout", "contiguous", "clone", "detach", "alias"), _any_input),
    **dict.fromkeys(("cat", "slice", "chunk", "softmax"), _along(lambda call, _: [call.argument("dim")])),
    "linear": _along(lambda _, ndim: [ndim - 1]),
    "layer_norm": _along(_normalised),
    "batch_norm": _along(_statistics),
    "permute": _moved(lambda call, _: call.argument("dims")),
    "transpose": _moved(_swapped),
}
