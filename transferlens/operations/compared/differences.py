"""Differences between two runs' estimates, with intervals where the models allow one.

Independent models: variances add. Student's intervals give Welch's, with the degrees of freedom of each side
as its own interval implies; others are joined end by end, as their distances from the values add in squares
(MOVER: Zou and Donner 2008). Shared models: the differences model by model, where the rows are the same.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd
import scipy

from transferlens.core.statistics import Interval, q_values, t_interval, two_sided_p
from transferlens.operations.compared.estimates import Estimate, Quantity, of_models
from transferlens.operations.compared.shared import Sharing

INDEPENDENT, PAIRED = "independent models", "paired by model"


@dataclass(frozen=True)
class Difference:
    """Second minus first.

    Attributes:
        p: of no difference; NaN where an interval has none.
        how: what the interval rests on, or why there is none.
    """

    interval: Interval
    p: float
    how: str


def table(first: Quantity, second: Quantity, sharing: Sharing) -> pd.DataFrame:
    """Common cells of a quantity: both values with intervals, the difference, p, and q over the table."""
    rows = []
    for of in first.estimates:
        if of in second.estimates:
            one, other = first.estimates[of], second.estimates[of]
            if np.isnan(one.value) or np.isnan(other.value):
                continue
            found = difference(one, other, sharing, (first.name, of))
            rows.append(_row(of, one, other, found))
    made = pd.DataFrame(rows, columns=_COLUMNS)
    made["q"] = q_values(made["p"].to_numpy(float))
    return made


_VALUES = ("value", "low", "high")
_COLUMNS = [
    "of",
    *(f"first_{part}" for part in _VALUES),
    *(f"second_{part}" for part in _VALUES),
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "how",
]


def _row(of: tuple[str, ...], one: Estimate, other: Estimate, found: Difference) -> tuple:
    interval = found.interval
    ends = (float(interval.value), float(interval.low), float(interval.high))
    return (
        " / ".join(of),
        *(one.value, one.low, one.high, other.value, other.low, other.high),
        *ends,
        found.p,
        found.how,
    )


def difference(
    one: Estimate, other: Estimate, sharing: Sharing, cell: tuple[str, tuple[str, ...]]
) -> Difference:
    """Of two estimates; without an interval where nothing says how far they could differ by chance."""
    if sharing.none:
        return independent(one, other)
    if not sharing.same:
        return _without(one, other, sharing.told)
    if len(one.by_model) and len(one.by_model) == len(other.by_model):
        paired = of_models(other.by_model - one.by_model)
    elif cell in sharing.paired:
        paired = sharing.paired[cell]
    else:
        return _without(one, other, f"{sharing.told}, and no values by model to pair")
    if not np.isclose(paired.value, other.value - one.value, rtol=1e-3, atol=1e-5):
        return _without(one, other, f"{sharing.told}, but their outputs do not give the stored values")
    if np.isnan(paired.low):
        return _without(one, other, f"{sharing.told}, too few to pair")
    value = other.value - one.value
    df = _implied_df((paired.high - paired.low) / 2, paired.se)
    p = float(two_sided_p(np.float64(value), np.float64(paired.se), df))
    return Difference(Interval(value, paired.low, paired.high), p, PAIRED)


def independent(one: Estimate, other: Estimate) -> Difference:
    """Of estimates from models of their own."""
    value = other.value - one.value
    if np.isnan([one.low, one.high, other.low, other.high]).any():
        return _without(one, other, "one has no interval")
    if one.se >= 0 and other.se >= 0:
        se = float(np.hypot(one.se, other.se))
        df = _welch_df(one, other)
        return Difference(t_interval(value, se, df), float(two_sided_p(value, se, df)), INDEPENDENT)
    low = value - np.hypot(other.value - other.low, one.high - one.value)
    high = value + np.hypot(other.high - other.value, one.value - one.low)
    return Difference(Interval(value, low, high), np.nan, INDEPENDENT)


def _without(one: Estimate, other: Estimate, reason: str) -> Difference:
    return Difference(Interval(other.value - one.value, np.nan, np.nan), np.nan, f"no interval: {reason}")


def _welch_df(one: Estimate, other: Estimate) -> float:
    """Welch's and Satterthwaite's degrees of freedom of the sum of two variances."""
    variances = np.array([one.se, other.se]) ** 2
    if not variances.any():
        return 1.0
    df = np.array([_implied_df((e.high - e.low) / 2, e.se) for e in (one, other)])
    return float(variances.sum() ** 2 / (variances**2 / df).sum())


@cache
def _quantiles() -> tuple[np.ndarray, np.ndarray]:
    """Student's 97.5 % quantiles, ascending, and the degrees of freedom that have them."""
    df = np.geomspace(1e6, 0.5, 5000)
    return scipy.stats.t.ppf(0.975, df), df


def _implied_df(reach: float, se: float) -> float:
    """Degrees of freedom of a Student's interval of this half-width."""
    return float(np.interp(reach / se, *_quantiles())) if se > 0 else 1e6
