"""Do class influences of two runs order source classes alike, and how alike could they, given their noise?

Two estimates of the same true influences correlate by the root of the product of their reliabilities (the
squared correlations of each with the truth; Spearman 1904), if their errors are independent.
"""

from dataclasses import dataclass

import numpy as np

from transferlens.core.statistics import Interval, correlation_interval
from transferlens.operations.compared.estimates import HALF, Quantity
from transferlens.operations.compared.folders import Folder


@dataclass(frozen=True)
class Agreement:
    """Correlation of class influences within target classes, and what reliability allows.

    Attributes:
        correlation: interval by a jackknife over source classes.
        allowed: that of runs with the same true influences; its ends are of both reliabilities' ends, wider
            than a 95 % interval. NaN where a reliability is unknown.
        cells: pairs of classes that both runs have.
    """

    correlation: Interval
    allowed: Interval
    cells: int


def agreement(
    first: Folder, second: Folder, target: str, recipe: str, reliabilities: tuple[Quantity | None, ...]
) -> Agreement | None:
    """Of the influences on the output that reliability was measured on; None without common classes."""
    outputs = {
        folder.made.get(f"scores/{target}/{recipe}.h5", ("", {}))[1].get("output")
        for folder in (first, second)
    }
    output = outputs.pop() if len(outputs) == 1 else None
    known = output is not None
    tables = [
        folder.results.influence(target, recipe, output or "margin").class_effect.sel(half=HALF)
        for folder in (first, second)
    ]
    rows = [c for c in tables[0].target_class.values if c in tables[1].target_class.values]
    columns = [c for c in tables[0].source_class.values if c in tables[1].source_class.values]
    if not rows or len(columns) < 4:
        return None
    one, other = (
        t.sel(target_class=rows, source_class=columns).transpose("target_class", "source_class").values
        for t in tables
    )
    without = np.array(
        [_correlation(*(np.delete(t, i, 1) for t in (one, other))) for i in range(len(columns))]
    )
    correlation = correlation_interval(_correlation(one, other), without)
    return Agreement(correlation, _allowed(reliabilities if known else ()), one.size)


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Over source classes within target classes; products are summed over target classes first."""
    one, other = (table - table.mean(1, keepdims=True) for table in (one, other))
    scale = np.sqrt((one**2).sum() * (other**2).sum())
    return float((one * other).sum() / scale) if scale > 0 else np.nan


def _allowed(reliabilities: tuple[Quantity | None, ...]) -> Interval:
    if not reliabilities or None in reliabilities:
        return Interval(np.nan, np.nan, np.nan)
    estimates = [next(iter(quantity.estimates.values())) for quantity in reliabilities]
    ends = [[max(getattr(e, end), 0) for e in estimates] for end in ("value", "low", "high")]
    return Interval(*(float(np.sqrt(np.prod(pair))) for pair in ends))
