"""Gaps between two domains: are they right in the mean, and do their intervals hold the truth?

Both sets are normal in each of d features, the second wider and its mean elsewhere. Two sets of one kind
differ by products of errors only: their intervals may be too wide, and must not be too narrow.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from simulations.row import Row, bias_row, coverage_row
from transferlens.core.statistics import Interval
from transferlens.dynamics.similarity import gaps

MEASURES = ("means", "mmd_linear", "mmd_rbf")
QUANTITY = "gap of two domains"


@dataclass(frozen=True)
class Domains:
    """Two domains.

    Attributes:
        images: of each.
        d: features.
        apart: the distance of their means.
        wide: standard deviation of the second's features; that of the first's is 1.
    """

    images: int
    d: int
    apart: float
    wide: float

    def features(self, rng: np.random.Generator, images: int) -> tuple[np.ndarray, np.ndarray]:
        """Of images that are drawn."""
        second = self.wide * rng.normal(size=(images, self.d))
        second[:, 0] += self.apart
        return rng.normal(size=(images, self.d)), second

    def truth(self, measure: str) -> float:
        """The gap over all images there could be; that of MMD with the kernel of a set of 4,000 images."""
        if measure == "mmd_linear":
            return self.apart**2
        if measure == "means":
            return self.apart**2 / (self.d * (1 + self.wide**2))
        both = np.vstack(self.features(np.random.default_rng(1), 2000))
        squares = (both**2).sum(1)
        width = np.median(squares[:, None] + squares - 2 * both @ both.T)
        first, second = self._alike(0, 2, width), self._alike(0, 2 * self.wide**2, width)
        return first + second - 2 * self._alike(self.apart, 1 + self.wide**2, width)

    def _alike(self, apart: float, variance: float, width: float) -> float:
        """Mean of exp(-|z|^2 / width) for normal z whose mean lies `apart` from 0."""
        return (1 + 2 * variance / width) ** (-self.d / 2) * np.exp(-(apart**2) / (width + 2 * variance))


def rows(scale: float) -> Iterator[Row]:
    """Bias and coverage where there is a gap, false alarms where there is none."""
    repetitions = max(round(300 * scale), 20)
    for domains in (Domains(128, 16, 1.0, 1.0), Domains(256, 64, 1.5, 1.2)):
        for measure, interval in _found(domains, repetitions).items():
            truth = domains.truth(measure)
            design = f"{measure}, {domains.images} images, {domains.d} features"
            yield bias_row(QUANTITY, design, interval.value - truth)
            yield coverage_row(QUANTITY, design, interval, truth)
    for measure, interval in _found(Domains(128, 16, 0.0, 1.0), repetitions).items():
        missed = float(((interval.low > 0) | (interval.high < 0)).mean())
        most = 0.05 + 2 * np.sqrt(0.05 * 0.95 / repetitions)
        design = f"share of intervals without 0, no gap: {measure}"
        yield Row(QUANTITY, design, "at most .05", missed, 0.0, most, repetitions)


def _found(domains: Domains, repetitions: int) -> dict[str, Interval]:
    """Intervals [repetitions] of each measure."""
    drawn = [domains.features(np.random.default_rng(seed), domains.images) for seed in range(repetitions)]
    found = [gaps(*features) for features in drawn]
    return {name: _stacked([each[name].interval for each in found]) for name in MEASURES}


def _stacked(intervals: list[Interval]) -> Interval:
    """Of arrays [repetitions]."""
    return Interval(*(np.array([getattr(i, part) for i in intervals]) for part in ("value", "low", "high")))
