"""Seen minus unseen: what models that saw a source class answer, minus what models trained without it do.

Of every repeat there is one model without each of a list of classes. On a unit of class c (a composite with
an image of c behind, an image of c, a target image whose memory is c) the model without c has not seen the
class; the others have, and saw as many classes. Each of them is paired with the one that has not.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np

from transferlens.core.crossed import CrossedMean, crossed_mean
from transferlens.core.statistics import q_values

# With fewer repeats nothing is told, and from so many on, every number of classes gets q-values.
FEWEST_REPEATS = 2
_MANY_REPEATS = 12
# So many classes, chosen with other models, get q-values with any number of repeats.
_FEW_CLASSES = 10


def place_among(classes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Where each label int64[n] is in a list of classes int64[m] that holds it: int64[n]."""
    order = np.argsort(classes)
    return order[np.searchsorted(classes, labels, sorter=order)]


@dataclass(frozen=True)
class Contrast:
    """One measure under the models of one repeat, or of all; each float64[units] or float64[repeats, units].

    Attributes:
        weight: the share of the models that saw the class of which a unit counts; 0 where it does not count.
        seen, unseen: what they answer, on the mean, and what the model without the class does.
    """

    weight: np.ndarray
    seen: np.ndarray
    unseen: np.ndarray


def contrast(answers: np.ndarray, usable: np.ndarray, lacking: np.ndarray) -> Contrast:
    """Pair the model that did not see a unit's class with each of those that did, within a repeat.

    A pair counts where the unit is usable under both of its models: the rule knows no side, and does not get
    stricter with more models.

    Args:
        answers: float[models, units]; model m is the one without class m of the list.
        usable: bool[models, units].
        lacking: int64[units], the model that has not seen the unit's class.
    """
    units = np.arange(answers.shape[1])
    pairs = usable & usable[lacking, units] & (np.arange(len(answers))[:, None] != lacking)
    counts = pairs.sum(0)
    seen = np.where(pairs, answers, 0).sum(0, dtype=np.float64) / np.maximum(counts, 1)
    unseen = answers[lacking, units].astype(np.float64)
    return Contrast(counts / (len(answers) - 1), seen, unseen)


def stack(repeats: Sequence[Contrast]) -> Contrast:
    """The contrasts of all repeats as one."""
    return Contrast(*(np.stack([getattr(c, f.name) for c in repeats]) for f in fields(Contrast)))


@dataclass(frozen=True)
class Estimate:
    """Seen minus unseen, over repeats and units.

    Attributes:
        effect: the mean difference, with its interval.
        seen, unseen: its two sides.
        n: units that count in any repeat.
    """

    effect: CrossedMean
    seen: float
    unseen: float
    n: int


NOTHING = Estimate(CrossedMean(*[np.nan] * 6, 0), np.nan, np.nan, 0)


def estimate(found: Contrast, members: np.ndarray, factors: Sequence[np.ndarray]) -> Estimate:
    """The mean over repeats and some units; NaN with too few repeats.

    Args:
        found: of all repeats.
        members: bool[units].
        factors: int64[units] each, what units share.
    """
    weight = found.weight[:, members]
    if (weight.sum(1) > 0).sum() < FEWEST_REPEATS:
        return NOTHING
    sides = found.seen[:, members], found.unseen[:, members]
    effect = crossed_mean(sides[0] - sides[1], weight, [factor[members] for factor in factors])
    seen, unseen = (float((weight * np.where(weight > 0, s, 0)).sum() / weight.sum()) for s in sides)
    return Estimate(effect, seen, unseen, int((weight > 0).any(0).sum()))


@dataclass(frozen=True)
class Measured:
    """A measure of units that each belong to one of the classes left out.

    Attributes:
        found: of all repeats.
        places: int64[units], the place of the unit's class among those left out.
        factors: int64[units] each, what units share.
    """

    found: Contrast
    places: np.ndarray
    factors: Sequence[np.ndarray]

    def of(self, classes: np.ndarray) -> Estimate:
        """The estimate over some classes together, bool[left out]."""
        return estimate(self.found, classes[self.places], self.factors)


def class_q(p: np.ndarray, repeats: int) -> tuple[np.ndarray, str]:
    """Benjamini-Hochberg q-values float64[classes] of p-values, and why there are none ('' if there are)."""
    if len(p) > _FEW_CLASSES and repeats < _MANY_REPEATS:
        reason = (
            f"q-values of {len(p)} classes need {_MANY_REPEATS} models without each: memories.repeats is "
            f"{repeats} (or leave out at most {_FEW_CLASSES} classes, which other models choose)"
        )
        return np.full(len(p), np.nan), reason
    return q_values(p), ""
