"""How far a ratio that models predict about models would differ between studies.

Scores and reliabilities multiply what some models say by what others say. Leaving models out counts the part
of their variance that comes from such products of errors twice (Efron and Stein 1981), which makes intervals
half as wide again as they ought to be. That part is known: it is what is left if there are no effects at all,
as residuals with random signs have it. It is taken off once.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from transferlens.core.errors import ConfigError
from transferlens.core.seeding import rng_for
from transferlens.core.statistics import Interval, t_interval
from transferlens.estimation import estimators

NOTHING = Interval(np.nan, np.nan, np.nan)
_GROUPS, _FLIPS = 20, 30


@dataclass(frozen=True)
class Outputs:
    """Outputs that speak of the models: masks bool[models, units] and float[models, outputs]."""

    masks: np.ndarray
    values: np.ndarray

    def rows(self, chosen: np.ndarray) -> "Outputs":
        """The outputs of some models."""
        return Outputs(self.masks[chosen], self.values[chosen])


Ratio = Callable[[np.ndarray, np.ndarray], tuple[float, float]]


def ratio_interval(outputs: Outputs, ratio: Ratio, confidence: float = 0.95) -> Interval:
    """A ratio with its interval over draws of the models, those that are learnt from included.

    Args:
        ratio: numerator and denominator, from which models are kept (bool[models]) and the outputs
            [models, outputs] of all of them; refitted every time.

    NaN where there are too few models to leave any out.
    """
    draws = estimators.independent_rows(outputs.masks)
    group = estimators.fold_of_rows(outputs.masks, min(_GROUPS, int(draws[-1]) + 1), seed=1)
    groups = int(group.max()) + 1
    everyone = np.ones(len(draws), bool)
    try:
        above, below = ratio(everyone, outputs.values)
        without = np.array([np.divide(*ratio(group != g, outputs.values)) for g in range(groups)])
    except ConfigError:  # too few models for this estimator
        return NOTHING
    if not below > 0:
        return NOTHING
    value = above / below
    left_out = (groups - 1) / groups * np.sum((without - without.mean()) ** 2)
    nulls = [ratio(everyone, null) for null in _nulls(outputs, draws)]
    # To first order, numerator and denominator move the ratio by this.
    products = np.var([(a - value * b) / below for a, b in nulls], ddof=1)
    # Of the jackknife's variance at most half is products of errors.
    variance = max(left_out - products, left_out / 2)
    found = t_interval(np.float64(value), np.sqrt(variance), groups - 1, confidence)
    return Interval(found.value, max(found.low, -1.0), min(found.high, 1.0))


def _nulls(outputs: Outputs, draws: np.ndarray) -> Iterator[np.ndarray]:
    """Residuals of the outputs with random signs, one for each draw: what there is without effects."""
    factors = estimators.Factorisation(outputs.masks)
    spare = len(draws) - 1 - len(factors.squares)
    sample = estimators.sample_columns(outputs.values)
    penalty = 0.0 if spare >= estimators.SPARE else factors.best_penalty(sample)
    residuals = estimators.LinearFit(factors, penalty).residuals(outputs.values)
    rng = rng_for("sign flips", len(draws))
    signs = rng.choice(np.array([-1, 1], np.float32), (_FLIPS, int(draws[-1]) + 1))
    for of_draw in signs:
        yield residuals * of_draw[draws][:, None]
