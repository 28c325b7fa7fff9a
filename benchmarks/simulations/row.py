"""A line of the table of `benchmarks/validity.py`."""

from dataclasses import dataclass


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
