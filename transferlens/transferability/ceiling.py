"""The most that a ranker which knows the source classes alone can correlate with accuracies, which are noisy.

Models of the same source classes differ in accuracy by their seeds and the images at hand. A score looks at
the very model that is then transferred, and may see some of that: for scores the ceiling is a landmark, no
bound.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from transferlens.core.statistics import Interval, fisher, jackknife_interval
from transferlens.core.studies import FULL
from transferlens.transferability.candidates import Transferred, draws
from transferlens.transferability.measures import pearson

FROM = ("repeated", "reference")
_LEAST = 4


@dataclass(frozen=True)
class Ceiling:
    """A correlation with its interval, and which study told of it."""

    source: str
    of: Interval


def ceilings(influence: Transferred, repeated: Transferred | None, reference: Transferred | None):
    """What is known of the ceiling for the models of study influence, by what tells of noise."""
    found = []
    if repeated is not None:
        found.append(Ceiling("repeated", from_repeated(influence, repeated)))
    if reference is not None and (reference.roles == FULL).sum() >= _LEAST:
        noise = reference.accuracy[reference.roles == FULL]
        found.append(Ceiling("reference", from_reference(influence.accuracy, noise)))
    return found


def from_repeated(influence: Transferred, repeated: Transferred) -> Interval:
    """The root of the correlation of accuracies of models of equal classes and other seeds; a jackknife over
    their draws on Fisher's scale.
    """
    count = min(len(influence.accuracy), len(repeated.accuracy))
    first, again = influence.accuracy[:count], repeated.accuracy[:count]
    draw = np.unique(draws("influence", influence)[:count], return_inverse=True)[1]
    kept = [np.ones(count, bool), *(draw != one for one in range(draw.max() + 1))]
    z = fisher(np.array([pearson(first[k], again[k]) for k in kept]))
    of = jackknife_interval(z[0], z[1:])
    return Interval(*(np.sqrt(max(float(np.tanh(end)), 0.0)) for end in (of.value, of.low, of.high)))


def from_reference(accuracy: np.ndarray, noise: np.ndarray) -> Interval:
    """The root of one minus the variance of accuracies of models of the whole source over that of models of
    subsets: both taken as normal, noise as equal for all.
    """
    df = len(noise) - 1, len(accuracy) - 1
    ratio = noise.var(ddof=1) / accuracy.var(ddof=1)
    # Over the true ratio it has the F distribution: a large quantile goes with a small true ratio.
    low, high = ratio / scipy.stats.f.ppf([0.025, 0.975], *df)
    return Interval(*(np.sqrt(max(1 - r, 0.0)) for r in (ratio, low, high)))
