"""How many units to remove: chosen with some repeats, its gain reported by another, repeat by repeat.

The mean accuracy of the k that is best among several is too high for models that chose it, on whatever
images: both halves of the images share the models. So each repeat reports its gain at the k that the other
repeats choose, and the gains are averaged.
"""

from dataclasses import dataclass

import numpy as np

from transferlens.core.statistics import Interval, t_interval

# With two repeats each fold chooses by one model, and their spread has one degree of freedom.
FEWEST_REPEATS = 3


@dataclass(frozen=True)
class Choice:
    """The choices of k of every order of removal.

    Attributes:
        by_all: int64[orders], the place of the k that all repeats together choose.
        by_others: int64[orders, repeats], of the k that the other repeats choose.
        gain: of the cross-fitted gain [orders]; NaN with a `missing` reason.
        missing: why there is no gain; '' where there is one.
    """

    by_all: np.ndarray
    by_others: np.ndarray
    gain: Interval
    missing: str


def choose(select: np.ndarray, gain: np.ndarray) -> Choice:
    """Choose k by accuracies of the select half, and state its gain by models that did not choose it.

    Args:
        select: float64[orders, ks, repeats], accuracies of the select half.
        gain: float64[orders, ks, repeats], gains of the report half over the full source.
    """
    repeats, ks = select.shape[-1], select.shape[1]
    others = (select.sum(-1, keepdims=True) - select) / (repeats - 1)
    by_all, by_others = select.mean(-1).argmax(1), others.argmax(1)
    if ks > 1 and repeats < FEWEST_REPEATS:
        nothing = np.full(len(select), np.nan)
        reason = (
            f"k is chosen and its gain reported by different repeats, which takes at least {FEWEST_REPEATS}; "
            f"there are {repeats} (studies.counterfactual.repeats)"
        )
        return Choice(by_all, by_others, Interval(nothing, nothing, nothing), reason)
    return Choice(by_all, by_others, cross_fitted_gain(gain, by_others), "")


def cross_fitted_gain(gain: np.ndarray, chosen: np.ndarray) -> Interval:
    """Mean over repeats of each one's gain at the k that the others chose, with its 95 % interval.

    Each repeat's gain is that of a model which had no say in the choice, so the mean is unbiased for the mean
    gain at the chosen ks. The gains are not independent of each other, though: two repeats that are high at
    one k make each other choose it. This adds to the variance the more, the less the folds agree. The
    variance of one gain is therefore taken at each chosen k over all repeats, and the mean's is raised by the
    share of pairs of folds that disagree; benchmarks/simulations/counterfactual.py gives the coverage.

    Args:
        gain: float64[orders, ks, repeats].
        chosen: int64[orders, repeats], places of ks.
    """
    repeats = gain.shape[-1]
    value = np.take_along_axis(gain, chosen[:, None], axis=1)[:, 0].mean(-1)
    spread = np.take_along_axis(gain.var(-1, ddof=1), chosen, axis=1).mean(-1)
    shares = (chosen[:, None] == np.arange(gain.shape[1])[:, None]).mean(-1)
    disagreement = 1 - np.square(shares).sum(-1)
    variance = spread / repeats * (1 + disagreement * (repeats - 1) / 2)
    # Spreads at several ks know more than the one at a single k.
    return t_interval(value, np.sqrt(variance), (repeats - 1) * (1 + disagreement))
