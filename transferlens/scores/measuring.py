"""Scores of one candidate: each with its seconds, and with a reason where it cannot be had."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transferlens.core.errors import ConfigError, nearest
from transferlens.scores.candidate import Candidate, Unavailable
from transferlens.scores.registry import SCORES, Score


@dataclass(frozen=True)
class Measured:
    """A score of a candidate.

    Attributes:
        values: one for each part of the score; all NaN where it cannot be had.
        seconds: that it takes alone: also of what it shares with other scores.
        reason: why it is NaN; empty where it is not.
    """

    values: tuple[float, ...]
    seconds: float
    reason: str


def measure(candidate: Candidate, names: Sequence[str]) -> dict[str, Measured]:
    """Scores by name. One that cannot be had is NaN with its reason, and the others go on.

    Raises:
        ConfigError: no such score.
    """
    return {score.name: _measured(candidate, score) for score in map(find, names)}


def find(name: str) -> Score:
    """The score of that name.

    Raises:
        ConfigError: there is none.
    """
    if name not in SCORES:
        raise ConfigError(f"score '{name}' is unknown{nearest(name, list(SCORES))}")
    return SCORES[name]


def pool(name: str, parts: np.ndarray) -> np.ndarray:
    """A score's values float64[candidates] from its parts float64[candidates, parts] of all candidates.

    Only scores that depend on the other candidates do more than take the part that is the score.
    """
    score = find(name)
    return score.pooled(parts) if score.pooled else parts[:, 0]


def _measured(candidate: Candidate, score: Score) -> Measured:
    reason = _reason_against(candidate, score)
    if not reason:
        try:
            with warnings.catch_warnings(), np.errstate(all="ignore"):
                warnings.simplefilter("ignore")
                found, seconds = candidate.shared.timed(lambda: score.measure(candidate))
            values = tuple(float(v) for v in np.atleast_1d(found))
            if np.isfinite(values).all():
                return Measured(values, seconds, "")
            reason = "its value is not finite"
        except (Unavailable, np.linalg.LinAlgError, ValueError) as error:  # or what a library refuses
            reason = str(error).splitlines()[0]
    return Measured((float("nan"),) * len(score.parts), 0.0, reason)


def _reason_against(candidate: Candidate, score: Score) -> str:
    """Why a score cannot be had of a candidate, as far as that is seen without measuring it."""
    if candidate.classes < 2:
        return "the target has one class"
    if "logits" in score.needs and candidate.logits is None:
        return "needs the outputs of a source head, and there is none"
    if "source" in score.needs and candidate.source is None:
        return "needs source images, and there are none"
    if not score.reads_features:
        return _not_finite("logits", candidate.logits)
    if "source" in score.needs and _not_finite("source features", candidate.source[0]):
        return _not_finite("source features", candidate.source[0])
    constant = (candidate.features == candidate.features[0]).all()
    return "features are the same for all images" if constant else _not_finite("features", candidate.features)


def _not_finite(what: str, values: np.ndarray) -> str:
    finite = np.isfinite(values).all(1)
    return "" if finite.all() else f"{what} of image {int(finite.argmin())} are not finite"
