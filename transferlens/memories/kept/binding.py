"""Binding: into which target class the target head puts images of a source class.

Confidence alone tells nothing: models from scratch are confident on any image. So their probabilities are
subtracted, and what all source classes have in common.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from transferlens.core import crossed
from transferlens.data.artefacts import HALVES
from transferlens.memories import tested


@dataclass(frozen=True)
class Binding:
    """Attributes:
    fine_tuned, scratch: float64[models, halves, source classes, target classes], mean probability; NaN where
        a half has fewer pairs of models.
    effect: float64[halves, source classes, target classes], fine-tuned minus scratch over the half's models,
        minus its mean over source classes; NaN where a half has no models.
    se, low, high: over models and images; NaN of a single pair of models.
    p, q: two-sided, of the cells that are tested (see `tested`), never of pairs that overlap; q within a
        half.
    chosen: bool[source classes, target classes], the most strongly bound of the select half.
    untested: why most cells have no p and q; '' where all have.
    """

    fine_tuned: np.ndarray
    scratch: np.ndarray
    effect: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray
    p: np.ndarray
    q: np.ndarray
    chosen: np.ndarray
    untested: str


def bind(
    fine_tuned: Mapping[str, np.ndarray],
    scratch: Mapping[str, np.ndarray],
    labels: Mapping[str, np.ndarray],
    overlap: np.ndarray,
) -> Binding:
    """From target probabilities float[models, images, target classes] of each half's evaluation images.

    Args:
        labels: int64[images], their source classes.
        overlap: bool[source classes, target classes], pairs that mean the same.
    """
    means = [
        padded([class_means(of[half], labels[half], len(overlap)) for half in HALVES])
        for of in (fine_tuned, scratch)
    ]
    of_halves = [
        crossed.centred_class_means(
            fine_tuned[half].astype(np.float64) - scratch[half], labels[half], len(overlap)
        )
        for half in HALVES
    ]
    effect, se, low, high, p = (np.stack([getattr(of, key) for of in of_halves]) for key in _PARTS)
    strength = np.where(overlap, np.nan, effect[HALVES.index("select")])
    chosen = tested.choose(strength, strength)
    models = [len(fine_tuned[half]) for half in HALVES]
    tests = [
        tested.test(np.where(overlap, np.nan, of), count, chosen & (half == "report"))
        for half, of, count in zip(HALVES, p, models, strict=True)
    ]
    p, q = (np.stack(values) for values in zip(*tests, strict=True))
    return Binding(
        *means, effect, se, low, high, p, q, chosen, tested.untested(models[HALVES.index("report")])
    )


_PARTS = ("value", "se", "low", "high", "p")


def class_means(values: np.ndarray, labels: np.ndarray, classes: int) -> np.ndarray:
    """Means float64[models, classes, ...] over images of values [models, images, ...]."""
    return np.stack([values[:, labels == c].mean(1, dtype=np.float64) for c in range(classes)], axis=1)


def padded(of_halves: Sequence[np.ndarray]) -> np.ndarray:
    """Values [models, ...] of both halves as one array [models, halves, ...]; NaN where one has fewer."""
    models = max(len(values) for values in of_halves)
    made = np.full((models, len(of_halves), *of_halves[0].shape[1:]), np.nan)
    for half, values in enumerate(of_halves):
        made[: len(values), half] = values
    return made


def coupling(target_weights: np.ndarray, source_weights: np.ndarray) -> np.ndarray:
    """Cosines [source classes, target classes] of heads' rows [classes, features], each minus their mean."""
    source, target = (w - w.mean(0) for w in (source_weights, target_weights))
    lengths = np.linalg.norm(source, axis=1)[:, None] * np.linalg.norm(target, axis=1)[None, :]
    return np.divide(source @ target.T, lengths, out=np.zeros_like(lengths), where=lengths > 0)


def bound_class(effect: np.ndarray, overlap: np.ndarray) -> np.ndarray:
    """The target class int64[source classes] each source class is bound to most, by the select half.

    Args:
        effect: float64[halves, source classes, target classes].
        overlap: bool[source classes, target classes]; these are no candidates.
    """
    return np.where(overlap, -np.inf, effect[HALVES.index("select")]).argmax(1)


def pull(tie: np.ndarray) -> np.ndarray:
    """How much more a source class is tied to another target class than to this one, as `tie` [C, K]."""
    best, second = -np.sort(-tie, axis=1)[:, :2].T[..., None]
    others = np.where(np.arange(tie.shape[1]) == tie.argmax(1)[:, None], second, best)
    return others - tie
