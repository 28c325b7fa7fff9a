"""What one measure says of a recipe, and of how it differs from the plain one: a number with its interval.

A mean over models and images speaks of other models and other images (`core.crossed`); a ratio of sums, too.
Differences of ratios, and what a model has as a whole (its calibration error), are told over models alone
(Student), for these images. Rounds of a step that is timed are neither: their interval is for other rounds.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import scipy  # its functions load at their first use

from transferlens.core.crossed import CrossedMean, crossed_mean, crossed_ratio
from transferlens.core.statistics import mean_interval, two_sided_p

SAME = "not one answer differs from the plain recipe's"
ONE_MODEL = "one model cannot tell how models differ"
NO_SPREAD = "nothing varies, so that nothing tells how others would differ"
ITSELF = "it is the plain recipe"
A_RATIO = "it is a ratio to the plain recipe already"
ONCE = "it was measured once"
# Of fewer, no interval between two of them holds the median in 95 % of cases.
LEAST_ROUNDS = 6


@dataclass(frozen=True)
class Told:
    """A number with its 95 % interval and p of zero; NaN where `missing` says why."""

    value: float = np.nan
    low: float = np.nan
    high: float = np.nan
    p: float = np.nan
    missing: str = ""

    def within(self, least: float, most: float) -> "Told":
        """The same, with ends cut at what is possible."""
        low, high = np.clip([self.low, self.high], least, most)
        return Told(self.value, float(low), float(high), self.p, self.missing)


class Quantity(Protocol):
    """What a measure is made of, for one recipe."""

    def told(self) -> Told:
        """The number."""

    def minus(self, plain: "Quantity") -> Told:
        """How it differs from the plain recipe's, paired by model."""


@dataclass(frozen=True)
class Mean:
    """A mean over models and images.

    Attributes:
        values: float64[models, images].
        weights: float64[images], 0 where an image does not count.
        sets: int64[images], data sets that are these, of which only the images are drawn; None for one.
    """

    values: np.ndarray
    weights: np.ndarray
    sets: np.ndarray | None = None

    def told(self) -> Told:
        """Over other models and other images."""
        values = self.values if self.sets is None else self._within_sets()
        weights = np.broadcast_to(self.weights, values.shape)
        found = crossed_mean(values, weights, [np.arange(len(self.weights))])
        return _crossed(found, len(values), int((self.weights > 0).sum()))

    def minus(self, plain: "Mean") -> Told:
        """Paired by model and image."""
        if np.array_equal(self.values, plain.values):
            return Told(0.0, missing=SAME)
        return Mean(self.values - plain.values, self.weights, self.sets).told()

    def _within_sets(self) -> np.ndarray:
        """Values as if all sets had the same mean: how sets differ tells nothing of other images of these."""
        values = self.values.copy()
        whole = np.average(values, axis=1, weights=self.weights).mean()
        for one in np.unique(self.sets):
            inside = self.sets == one
            values[:, inside] += (
                whole - np.average(values[:, inside], axis=1, weights=self.weights[inside]).mean()
            )
        return values


@dataclass(frozen=True)
class Ratio:
    """A sum over another.

    Attributes:
        numerators, denominators: float64[models, images].
    """

    numerators: np.ndarray
    denominators: np.ndarray

    def told(self) -> Told:
        """Over other models and other images."""
        if self.denominators.sum() == 0:
            return Told(missing="no answer was right that could be lost")
        found = crossed_ratio(self.numerators, self.denominators, [np.arange(self.numerators.shape[1])])
        return _crossed(found, *self.numerators.shape)

    def minus(self, plain: "Ratio") -> Told:
        """Paired by model, over other models alone."""
        return OfModels(self._of_models()).minus(OfModels(plain._of_models()))

    def _of_models(self) -> np.ndarray:
        """The ratio of each model, float64[models]."""
        below = self.denominators.sum(1)
        return np.divide(self.numerators.sum(1), below, out=np.full(len(below), np.nan), where=below > 0)


@dataclass(frozen=True)
class OfModels:
    """One number a model.

    Attributes:
        values: float64[models]; NaN of a model that has none.
        missing: why there is no interval even so; '' if there is.
    """

    values: np.ndarray
    missing: str = ""

    def told(self) -> Told:
        """Over other models, for these images."""
        return student(self.values) if not self.missing else Told(_mean(self.values), missing=self.missing)

    def minus(self, plain: "OfModels") -> Told:
        """Paired by model."""
        if np.array_equal(self.values, plain.values):
            return Told(0.0, missing=SAME)
        return OfModels(self.values - plain.values, self.missing).told()


@dataclass(frozen=True)
class Rounds:
    """Ratios to the plain recipe, float64[rounds], of steps that were timed by turns."""

    ratios: np.ndarray

    def told(self) -> Told:
        """Their median, over other rounds: the interval ends at two of them (sign test)."""
        rounds = np.sort(self.ratios)
        if len(rounds) < LEAST_ROUNDS:
            return Told(float(np.median(rounds)), missing=f"an interval over rounds needs {LEAST_ROUNDS}")
        k = int(scipy.stats.binom.ppf(0.025, len(rounds), 0.5))
        return Told(float(np.median(rounds)), float(rounds[k - 1]), float(rounds[-k]))

    def minus(self, plain: Quantity) -> Told:
        """There is none."""
        return Told(missing=A_RATIO)


@dataclass(frozen=True)
class Alone:
    """A number without any other of its kind: a ratio to the plain recipe."""

    value: float
    missing: str

    def told(self) -> Told:
        """The number."""
        return Told(self.value, missing=self.missing)

    def minus(self, plain: Quantity) -> Told:
        """There is none."""
        return Told(missing=A_RATIO)


@dataclass(frozen=True)
class Missing:
    """Nothing, and why."""

    reason: str

    def told(self) -> Told:
        """The reason."""
        return Told(missing=self.reason)

    def minus(self, plain: Quantity) -> Told:
        """The reason."""
        return Told(missing=self.reason)


def student(values: np.ndarray) -> Told:
    """The mean of independent values float64[n], with Student's interval and p of zero."""
    value, count = _mean(values), len(values)
    if count < 2 or np.isnan(value):
        return Told(value, missing=ONE_MODEL if count < 2 else "a model has no such number")
    if np.ptp(values) == 0:
        return Told(value, missing=NO_SPREAD)
    made = mean_interval(values)
    p = two_sided_p(made.value, values.std(ddof=1) / np.sqrt(count), count - 1)
    return Told(value, float(made.low), float(made.high), float(p))


def _mean(values: np.ndarray) -> float:
    return float(values.mean())


def _crossed(found: CrossedMean, models: int, images: int) -> Told:
    """A crossed mean, or why it has no interval."""
    if not np.isnan(found.se):
        return Told(found.value, found.low, found.high, found.p)
    if images == 0:
        return Told(missing="there is no such image")
    if images == 1:
        return Told(found.value, missing="one image cannot tell how images differ")
    return Told(found.value, missing=ONE_MODEL if models == 1 else NO_SPREAD)
