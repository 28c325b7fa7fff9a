"""Retention: what the source's own head still makes of source images on the fine-tuned backbone.

Nothing is trained. Fine-tuning shifts the scale of features, so that accuracies and ranks are compared, and
probabilities only after one temperature is fitted on the select half.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import logsumexp

from transferlens.core.crossed import crossed_ratio
from transferlens.data.artefacts import HALVES
from transferlens.memories.kept.binding import padded


@dataclass(frozen=True)
class Recall:
    """What one pair of models makes of the source's evaluation images of its half.

    Attributes:
        before, after: bool[images], whether the source head is right, on the source model's backbone and on
            the fine-tuned one.
        rank: int64[images], rank of the true class on the fine-tuned backbone, 1 the highest.
        p_true: float[images], its calibrated probability there.
    """

    before: np.ndarray
    after: np.ndarray
    rank: np.ndarray
    p_true: np.ndarray


@dataclass(frozen=True)
class Retained:
    """Accuracy after over accuracy before by the report half's pairs and images, float64[source classes]
    each.

    NaN where no image was recognised before; the standard error and the interval of a single pair, too.
    """

    value: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Retention:
    """Attributes:
    accuracy_before, accuracy_after, rank_after, p_true_after: float64[models, halves, source classes]; NaN
        where a half has fewer pairs of models.
    n: int64[halves, source classes], images.
    """

    accuracy_before: np.ndarray
    accuracy_after: np.ndarray
    rank_after: np.ndarray
    p_true_after: np.ndarray
    n: np.ndarray
    retained: Retained


def recall(before: np.ndarray, after: np.ndarray, labels: np.ndarray, temperature: float) -> Recall:
    """From the source head's logits float[images, classes] on both backbones."""
    rows = np.arange(len(labels))
    scaled = after.astype(np.float64) / temperature
    return Recall(
        before.argmax(1) == labels,
        after.argmax(1) == labels,
        1 + (after > after[rows, labels][:, None]).sum(1),
        np.exp(scaled[rows, labels] - logsumexp(scaled, axis=1)),
    )


def summarise(
    recalls: Mapping[str, Sequence[Recall]], labels: Mapping[str, np.ndarray], classes: int
) -> Retention:
    """Means over the images of each class, by half; `labels` int64[images] of each half's images."""
    members = {half: [np.flatnonzero(of == c) for c in range(classes)] for half, of in labels.items()}

    def means(name: str) -> np.ndarray:
        by_half = []
        for half in HALVES:
            values = [getattr(of_pair, name).astype(np.float64) for of_pair in recalls[half]]
            by_half.append([[of_pair[m].mean() for m in members[half]] for of_pair in values])
        return padded([np.reshape(values, (-1, classes)) for values in by_half])

    return Retention(
        means("before"),
        means("after"),
        means("rank"),
        means("p_true"),
        np.array([[len(m) for m in members[half]] for half in HALVES]),
        _retained(recalls["report"], members["report"]),
    )


def _retained(recalls: Sequence[Recall], members: list[np.ndarray]) -> Retained:
    """The ratio of accuracies of each class, whose images are at positions `members`."""
    after, before = (np.stack([getattr(r, name) for r in recalls]) for name in ("after", "before"))
    ratios = [crossed_ratio(after[:, m] * 1.0, before[:, m] * 1.0, [np.arange(len(m))]) for m in members]
    return Retained(*(np.array([getattr(r, key) for r in ratios]) for key in ("value", "se", "low", "high")))
