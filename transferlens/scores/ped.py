"""PED: LogME and SFDA after the classes have pushed each other apart, as balls with a potential energy do.

Features are standardised by mean and standard deviation (none below 1e-3) of the model's features of source
images. Class c is a ball of radius R_c = sqrt(its total variance); where balls overlap,

    F_ab = max(nu (R_a + R_b) - |m_a - m_b|, 0),
    a moves by the sum over b of (m_a - m_b) / |m_a - m_b| * min(t^2 F_ab / 2, F_ab),   t = .1, nu = .6

for at most 6 steps, ending before a step whose absolute shifts sum to at most half of the first's.
Images move with their class. Then the scaling is undone and the base score taken. Source: Li, Hu, Ge, Shan,
Duan, Exploring model transferability through the lens of potential energy, ICCV 2023. Where no balls
overlap (the published code divides 0 by 0) nothing moves and the base score is returned.
"""

from dataclasses import replace
from functools import partial

import numpy as np

from transferlens.scores import logme, sfda
from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import class_sums

_TIME = 0.1
_REACH = 0.6
_STEPS = 6
_LEAST_SD = 1e-3


def of_logme(candidate: Candidate) -> float:
    """LogME of the classes pushed apart; needs source images."""
    return logme.logme(pushed_apart(candidate))


def of_sfda(candidate: Candidate) -> float:
    """SFDA of the classes pushed apart; needs source images."""
    return sfda.sfda(pushed_apart(candidate))


def pushed_apart(candidate: Candidate, reach: float = _REACH) -> Candidate:
    """The candidate after its classes have moved."""
    return candidate.shared.part(f"pushed apart {reach}", partial(_pushed_apart, candidate, reach))


def _pushed_apart(candidate: Candidate, reach: float) -> Candidate:
    source = candidate.source[0]
    scale = np.maximum(source.std(0), _LEAST_SD)
    means, radii = balls((candidate.features - source.mean(0)) / scale, candidate)
    shift = shifts(means, radii, reach) * scale
    return replace(candidate, features=candidate.features + shift[candidate.labels])


def balls(features: np.ndarray, candidate: Candidate) -> tuple[np.ndarray, np.ndarray]:
    """(centres float64[classes, features], radii float64[classes]) of the classes."""
    counts = np.bincount(candidate.labels)
    means = class_sums(features, candidate.labels, candidate.classes) / counts[:, None]
    squares = ((features - means[candidate.labels]) ** 2).sum(1)
    return means, np.sqrt(class_sums(squares, candidate.labels, candidate.classes) / counts)


def shifts(means: np.ndarray, radii: np.ndarray, reach: float) -> np.ndarray:
    """How far each class moves in all, float64[classes, features]. A ball keeps its radius."""
    moved, first = means.copy(), 0.0
    for _ in range(_STEPS):
        step = push(moved, radii, reach)
        length = np.abs(step).sum()
        if length <= 0.5 * first or length == 0:
            break
        moved += step
        first = first or length
    return moved - means


def push(means: np.ndarray, radii: np.ndarray, reach: float) -> np.ndarray:
    """One step float64[classes, features] of balls that overlap."""
    squares = (means**2).sum(1)
    apart = np.sqrt(np.maximum(squares[:, None] + squares - 2 * means @ means.T, 0.0))
    np.fill_diagonal(apart, np.inf)
    force = np.maximum(reach * (radii[:, None] + radii) - apart, 0.0)
    by_distance = np.minimum(_TIME**2 * force / 2, force) / np.maximum(apart, np.finfo(float).tiny)
    return by_distance.sum(1)[:, None] * means - by_distance @ means
