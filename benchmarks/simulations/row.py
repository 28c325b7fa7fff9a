"""A line of the table of `benchmarks/validity.py`."""

from dataclasses import dataclass

import numpy as np

from transferlens.core.statistics import Interval


@dataclass(frozen=True)
class Row:
    """A property of a printed quantity, as simulated.

    Attributes:
        quantity: what is printed.
        measure: which property of it, and of which design.
        nominal: what it ought to be, in words.
        observed: what it is.
        low, high: the bounds within which it counts as right.
        repetitions: what `observed` rests on.
    """

    quantity: str
    measure: str
    nominal: str
    observed: float
    low: float
    high: float
    repetitions: int

    @property
    def holds(self) -> bool:
        """Whether it is as it ought to be."""
        return self.low <= self.observed <= self.high


def bias_row(quantity: str, design: str, errors: np.ndarray) -> Row:
    """Mean error [repetitions] in standard deviations of the errors: within a tenth, and the chance of the
    simulation.
    """
    bias = float(errors.mean() / errors.std())
    bound = 0.1 + 2 / np.sqrt(len(errors))
    return Row(quantity, f"bias in standard errors: {design}", "0", bias, -bound, bound, len(errors))


def coverage_row(quantity: str, design: str, interval: Interval, truth: np.ndarray | float) -> Row:
    """Share of intervals [repetitions] that hold the truth: .93 to .97, and the chance of the simulation."""
    holds = (interval.low <= truth) & (truth <= interval.high)
    chance = 2 * np.sqrt(0.95 * 0.05 / len(holds))
    bounds = 0.93 - chance, 0.97 + chance
    return Row(quantity, f"coverage: {design}", ".95", float(holds.mean()), *bounds, len(holds))
