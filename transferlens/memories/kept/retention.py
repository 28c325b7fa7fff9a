"""Retention: what the source's own head still makes of source images on the fine-tuned backbone.

Nothing is trained. Fine-tuning shifts the scale of features, so that accuracies and ranks are compared, and
probabilities only after one temperature is fitted on the select half.
"""

from dataclasses import dataclass

import numpy as np
from scipy import optimize
from scipy.special import logsumexp

from transferlens.core.seeding import rng_for
from transferlens.core.statistics import Interval, bootstrap_counts, percentile_interval
from transferlens.data.artefacts import HALVES
from transferlens.memories.kept.binding import by_half_and_class

_LOG_TEMPERATURES = (-6.0, 6.0)


@dataclass(frozen=True)
class Recall:
    """What one pair of models makes of the source's evaluation images.

    Attributes:
        before, after: bool[images], whether the source head is right, on the source model's backbone and on
            the fine-tuned one.
        rank: int64[images], rank of the true class on the fine-tuned backbone, 1 the highest.
        p_true: float[images], its calibrated probability there.
        temperature: which calibrates it.
    """

    before: np.ndarray
    after: np.ndarray
    rank: np.ndarray
    p_true: np.ndarray
    temperature: float


@dataclass(frozen=True)
class Retention:
    """Attributes:
    accuracy_before, accuracy_after, rank_after, p_true_after: float64[models, halves, source classes].
    n: int64[halves, source classes], images.
    retained: of the report half, accuracy after over accuracy before, over all models [source classes];
        NaN where no image was recognised before.
    """

    accuracy_before: np.ndarray
    accuracy_after: np.ndarray
    rank_after: np.ndarray
    p_true_after: np.ndarray
    n: np.ndarray
    retained: Interval


def recall(before: np.ndarray, after: np.ndarray, labels: np.ndarray, halves: np.ndarray) -> Recall:
    """From the source head's logits float[images, classes] on both backbones."""
    rows = np.arange(len(labels))
    select = halves == HALVES.index("select")
    temperature = fit_temperature(after[select], labels[select])
    scaled = after.astype(np.float64) / temperature
    return Recall(
        before.argmax(1) == labels,
        after.argmax(1) == labels,
        1 + (after > after[rows, labels][:, None]).sum(1),
        np.exp(scaled[rows, labels] - logsumexp(scaled, axis=1)),
        temperature,
    )


def fit_temperature(logits: np.ndarray, labels: np.ndarray) -> float:
    """The T > 0 under which softmax(logits [images, classes] / T) makes the labels most likely."""
    rows, logits = np.arange(len(labels)), logits.astype(np.float64)

    def loss(log_temperature: float) -> float:
        scaled = logits * np.exp(-log_temperature)
        return float((logsumexp(scaled, axis=1) - scaled[rows, labels]).mean())

    best = optimize.minimize_scalar(loss, bounds=_LOG_TEMPERATURES, method="bounded")
    return float(np.exp(best.x))


def summarise(
    recalls: list[Recall], labels: np.ndarray, halves: np.ndarray, bootstrap: int, seed: int
) -> Retention:
    """Means over the images of each class and half; intervals by a bootstrap over models and images."""
    members = by_half_and_class(labels, halves, int(labels.max()) + 1)

    def means(name: str) -> np.ndarray:
        values = np.stack([getattr(of_pair, name) for of_pair in recalls]).astype(np.float64)
        by_half = [[values[:, m].mean(1) for m in of_half] for of_half in members]
        return np.moveaxis(np.array(by_half), 2, 0)

    both = np.stack([[of_pair.after, of_pair.before] for of_pair in recalls]).astype(np.float64)
    report = members[HALVES.index("report")]
    return Retention(
        means("before"),
        means("after"),
        means("rank"),
        means("p_true"),
        np.array([[len(m) for m in of_half] for of_half in members]),
        _retained([both[:, :, m] for m in report], bootstrap, seed),
    )


def _retained(right: list[np.ndarray], bootstrap: int, seed: int) -> Interval:
    """The ratio of accuracies for each class, from bool[models, (after, before), images of the class]."""
    models = len(right[0])
    drawn = bootstrap_counts(models, bootstrap, rng_for(seed, "retention models"))
    ratios, replicates = np.zeros(len(right)), np.zeros((bootstrap, len(right)))
    for c, values in enumerate(right):
        images = bootstrap_counts(values.shape[2], bootstrap, rng_for(seed, "retention images", c))
        of_models = np.einsum("ri,mki->rmk", images, values, optimize=True)
        ratios[c] = _ratio(values.sum((0, 2)))
        replicates[:, c] = _ratio(np.einsum("rm,rmk->kr", drawn, of_models))
    ends = np.full((2, len(right)), np.nan)
    known = ~np.isnan(replicates).all(0)
    interval = percentile_interval(ratios[known], replicates[:, known])
    ends[:, known] = interval.low, interval.high
    return Interval(ratios, *ends)


def _ratio(after_and_before: np.ndarray) -> np.ndarray:
    after, before = after_and_before
    return np.divide(after, before, out=np.full(np.shape(before), np.nan), where=before > 0)
