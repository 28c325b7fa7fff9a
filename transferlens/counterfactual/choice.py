"""How many units to remove: chosen with one half of the repeats, its gain reported by the other half.

The gain at the k that looks best is too high for the models that chose it, on whatever images: both halves
of the images share the models. So the repeats are split into halves in every way; one half chooses, the other
one reports, and the gains are averaged.
"""

from dataclasses import dataclass
from itertools import combinations

import numpy as np

from transferlens.core.seeding import rng_for
from transferlens.core.statistics import Interval, t_interval

# With two repeats each split has one model on either side, and one degree of freedom.
FEWEST_REPEATS = 3
# All splits of so many repeats are taken; of more, as many random ones as ten have.
_ALL_SPLITS = 10
_SPLITS = 252
# The share of the variance at single ks in that of the gain: found by simulation.
_SINGLE_K = 1 / 6


@dataclass(frozen=True)
class Choice:
    """The choices of k of every order of removal.

    Attributes:
        by_all: int64[orders], the place of the k that all repeats together choose.
        agree: float64[orders], the share of splits whose choosing half chooses this k, too.
        gain: of the cross-fitted gain [orders]; NaN with a `missing` reason.
        missing: why there is no gain; '' where there is one.
    """

    by_all: np.ndarray
    agree: np.ndarray
    gain: Interval
    missing: str


def choose(select: np.ndarray, gain: np.ndarray) -> Choice:
    """Choose k by accuracies of the select half, and state its gain by models that did not choose it.

    Args:
        select: float64[orders, ks, repeats], accuracies of the select half.
        gain: float64[orders, ks, repeats], gains of the report half over the full source.
    """
    repeats, ks = select.shape[-1], select.shape[1]
    sides = choosing_halves(repeats)
    # [orders, ks, splits]
    means = select @ sides.T / sides.sum(1)
    chosen = np.eye(ks)[means.argmax(1)].transpose(0, 2, 1)
    by_all = select.mean(-1).argmax(1)
    agree = np.take_along_axis(chosen, by_all[:, None, None], axis=1)[:, 0].mean(-1)
    if ks > 1 and repeats < FEWEST_REPEATS:
        nothing = np.full(len(select), np.nan)
        reason = (
            f"k is chosen and its gain reported by different repeats, which takes at least {FEWEST_REPEATS}; "
            f"there are {repeats} (studies.counterfactual.repeats)"
        )
        return Choice(by_all, agree, Interval(nothing, nothing, nothing), reason)
    return Choice(by_all, agree, cross_fitted_gain(gain, chosen, ~sides), "")


def choosing_halves(repeats: int) -> np.ndarray:
    """bool[splits, repeats]: which repeats choose in every split into halves, each half choosing once.

    Of an odd number the halves differ by one.
    """
    sizes = sorted({repeats // 2, repeats - repeats // 2})
    if repeats > _ALL_SPLITS:
        rng = rng_for("splits of repeats", repeats)
        sets = [rng.permutation(repeats)[: sizes[i % len(sizes)]] for i in range(_SPLITS)]
    else:
        sets = [np.array(one) for size in sizes for one in combinations(range(repeats), size)]
    sides = np.zeros((len(sets), repeats), bool)
    for side, one in zip(sides, sets, strict=True):
        side[one] = True
    return sides


def cross_fitted_gain(gain: np.ndarray, chosen: np.ndarray, reporting: np.ndarray) -> Interval:
    """Mean over splits of the reporting half's gain at the k that the other half chose, with its 95 %
    interval.

    No model reports at a k that it had a say in, so the mean is unbiased for the mean gain at the chosen ks.
    Its variance is taken between repeats, of the gains averaged over ks as often as each was chosen. That
    takes the choices as given, and is somewhat too small where they are uncertain; a share of the variance at
    a single k, which is too large there, makes up for it. benchmarks/simulations/counterfactual.py gives the
    coverage.

    Args:
        gain: float64[orders, ks, repeats].
        chosen: float64[orders, ks, splits], 1 where the split's choosing half chose the k.
        reporting: bool[splits, repeats].
    """
    repeats = gain.shape[-1]
    reported = gain @ reporting.T / reporting.sum(1)
    value = (chosen * reported).sum(1).mean(-1)
    shares = chosen.mean(-1)
    given = np.einsum("ok,okr->or", shares, gain).var(-1, ddof=1)
    single = (shares * gain.var(-1, ddof=1)).sum(1)
    variance = ((1 - _SINGLE_K) * given + _SINGLE_K * single) / repeats
    return t_interval(value, np.sqrt(variance), repeats - 1)
