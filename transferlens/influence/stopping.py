"""When are the models enough? Looks that are planned in advance, and intervals that hold at all of them.

Who looks after every batch of models, and stops when the numbers please, reports too often what pleased by
chance. So the numbers of models to look at are fixed before the first look, and the 5 % of intervals that may
miss are shared equally among all looks and all that is asked (Bonferroni): with 95 %, all intervals of all
looks hold at once. Those at the stop are among them, whatever made one stop.

The first rows of a study do not depend on how many there are, so that a look at the first models can be made
again from any larger summary.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import artefacts
from transferlens.core.errors import ConfigError
from transferlens.core.statistics import Interval, t_interval
from transferlens.data.artefacts import HALVES
from transferlens.estimation import estimators
from transferlens.influence.estimate import model_means
from transferlens.influence.reliability import reliability
from transferlens.influence.resampling import Outputs
from transferlens.training import outputs as stored
from transferlens.training import summary as summaries
from transferlens.training.artefacts import SUMMARY

CONFIDENCE = 0.95  # with which all intervals of all looks hold at once
# From one look to the next, models are doubled at most.
_GROWTH = 2


@dataclass(frozen=True)
class Quantity:
    """What is asked: the influence of a source class (or group of them), or how reliable all of them are.

    Attributes:
        source: the source class; '' for the reliability.
        target: the target class whose mean output it is an influence on; '' for the whole target.
    """

    source: str = ""
    target: str = ""

    def __str__(self) -> str:
        if not self.source:
            return "reliability"
        return f"influence of {self.source} on {self.target or 'the whole target'}"


RELIABILITY = Quantity()


@dataclass(frozen=True)
class Wanted:
    """When it is enough.

    Attributes:
        reliability: that the lower end of its interval exceeds; None where it is not asked for.
        within: half of the width of an influence's interval, at most; None for any.
        sign: whether the interval of an influence must leave zero out.
    """

    reliability: float | None = None
    within: float | None = None
    sign: bool = False

    def is_reached(self, quantity: Quantity, found: Interval) -> bool:
        """Whether an interval says enough. One without width does not: its output did not vary at all."""
        if not found.low < found.high:
            return False
        if quantity == RELIABILITY:
            return bool(found.low > self.reliability)
        narrow = self.within is None or (found.high - found.low) / 2 <= self.within
        return bool(narrow and (not self.sign or found.low > 0 or found.high < 0))

    def words(self, quantity: Quantity) -> str:
        """What is wanted of a quantity."""
        if quantity == RELIABILITY:
            return f"above {self.reliability:g}"
        wanted = [f"known to +-{self.within:g}"] if self.within is not None else []
        return " and ".join([*wanted, *["not zero"] * self.sign])


@dataclass(frozen=True)
class Seen:
    """The mean outputs, on the report half of the target's images, of a study's models.

    Attributes:
        masks: bool[models, units].
        by_class: float64[models, target classes].
        overall: float64[models].
        units, classes: names.
    """

    masks: np.ndarray
    by_class: np.ndarray
    overall: np.ndarray
    units: list[str]
    classes: list[str]

    def of(self, target: str) -> np.ndarray:
        """Mean outputs on a target class, or on the whole target: float64[models]."""
        return self.by_class[:, self.classes.index(target)] if target else self.overall


def read_seen(summary_path: Path, output: str) -> Seen:
    """The mean outputs of all models of a summary."""
    half = HALVES.index("report")
    with artefacts.open(summary_path, SUMMARY) as file:
        summary = summaries.read_summary(file)
        means = model_means(summary, stored.Output(file, output))
    rows = summary.rows
    return Seen(
        rows.masks, means.by_class()[:, half], means.overall()[:, half], rows.unit_names, summary.class_names
    )


def planned(first: int, most: int, step: int) -> list[int]:
    """The numbers of models to look at: as few looks as doublings allow, evenly spaced on a scale of ratios.

    Args:
        first, most: multiples of `step`.
        step: models that are added at a time.
    """
    more = math.ceil(math.log(most / first, _GROWTH) - 1e-9)
    between = (first * (most / first) ** (look / more) for look in range(1, more))
    rounded = (round(models / step) * step for models in between)
    return sorted({first, *rounded, most})


def confidence_of_each(looks: int, quantities: int) -> float:
    """The confidence of every single interval, such that all of them hold at once with 95 %."""
    return 1 - (1 - CONFIDENCE) / (looks * quantities)


def intervals(
    seen: Seen, models: int, quantities: Sequence[Quantity], estimator: str, confidence: float
) -> list[Interval]:
    """Every quantity by the first `models` models, with an interval of this confidence.

    Raises:
        ConfigError: too few models for the estimator.
    """
    influences = [quantity for quantity in quantities if quantity != RELIABILITY]
    of_influences = iter(_influences(seen, models, influences, estimator, confidence))
    return [
        reliability(Outputs(seen.masks, seen.by_class), estimator, models, confidence)
        if quantity == RELIABILITY
        else next(of_influences)
        for quantity in quantities
    ]


def _influences(
    seen: Seen, models: int, asked: Sequence[Quantity], estimator: str, confidence: float
) -> list[Interval]:
    if not asked:
        return []
    masks = seen.masks[:models]
    values = np.stack([seen.of(quantity.target)[:models] for quantity in asked], axis=1)
    effects = estimators.make(estimator, masks, values).effects(values)
    found = t_interval(effects.effect, effects.se, effects.df, confidence)
    cells = [(row, seen.units.index(quantity.source)) for row, quantity in enumerate(asked)]
    return [Interval(*(float(part[cell]) for part in (found.value, found.low, found.high))) for cell in cells]


def require_estimator(estimator: str, design: str, quantities: Sequence[Quantity]) -> None:
    """Refuse estimators whose intervals are known to hold less than they should (docs/statistics.md).

    Raises:
        ConfigError: naming the cure.
    """
    if estimator in ("ridge", "lasso"):
        raise ConfigError(
            f"config: influence.estimator is '{estimator}', which is drawn towards zero by more than its "
            "intervals say, so that no interval tells when it is enough; use least_squares or "
            "difference_of_means"
        )
    if estimator == "difference_of_means" and design == "hadamard" and RELIABILITY in quantities:
        raise ConfigError(
            "config: influence.estimator is 'difference_of_means' with studies.influence.design hadamard, "
            "where the interval of a reliability is too narrow; use least_squares"
        )
