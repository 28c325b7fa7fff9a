"""How far a score moves with the target's images: a jackknife over groups of them, by class.

The score is measured again without each tenth of the images, drawn at random from every class. The interval
is for other training images of the same classes, seen by the same model; it says nothing of other models.
Where a score depends on where a search starts (NLEEP's mixture), that widens the interval.
"""

from collections.abc import Iterable
from dataclasses import replace

import numpy as np

from transferlens.core.statistics import Interval, jackknife_interval
from transferlens.scores.candidate import Candidate
from transferlens.scores.measuring import measure

GROUPS = 10


def without_each_group(candidate: Candidate, seed: int) -> Iterable[Candidate]:
    """The candidate without each group of images; no group holds all images of a class.

    None, if a class has a single image.
    """
    if np.bincount(candidate.labels).min() < 2:
        return
    mixed = np.random.default_rng(seed).permutation(len(candidate.labels))
    by_class = mixed[np.argsort(candidate.labels[mixed], kind="stable")]
    group = np.empty(len(mixed), np.int64)
    group[by_class] = np.arange(len(mixed)) % GROUPS
    for number in range(GROUPS):
        yield _part(candidate, group != number)


def _part(candidate: Candidate, rows: np.ndarray) -> Candidate:
    logits = None if candidate.logits is None else candidate.logits[rows]
    return replace(candidate, features=candidate.features[rows], labels=candidate.labels[rows], logits=logits)


def intervals(values: dict[str, float], parts: Iterable[Candidate]) -> dict[str, Interval]:
    """95 % intervals of scores that are numbers by themselves; NaN where one cannot be had of each part.

    Args:
        values: of the whole candidate, by score.
        parts: the candidate without each group.
    """
    without = [measure(part, list(values)) for part in parts]
    return {
        name: _interval(value, np.array([each[name].values[0] for each in without]))
        for name, value in values.items()
    }


def _interval(value: float, without: np.ndarray) -> Interval:
    if len(without) < 2 or not np.isfinite(without).all():
        return Interval(value, np.nan, np.nan)
    return jackknife_interval(value, without)
