"""Recipes by measures: each number with its interval, and how it differs from the plain recipe's."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from transferlens.comparison.compared.answers import Compared, Contestant
from transferlens.comparison.compared.artefacts import MEASURES
from transferlens.comparison.compared.quantities import (
    ITSELF,
    ONCE,
    Alone,
    Mean,
    Missing,
    OfModels,
    Quantity,
    Ratio,
    Rounds,
    Told,
)
from transferlens.comparison.measures.calibration import calibration_error
from transferlens.core.statistics import holm
from transferlens.training.reading import image_weights

AN_AREA = "an area under the ROC curve is no mean over images"
NO_SOURCE = "models from scratch have no source"
# The least and the most that a measure can be where it is no share, and that a difference can be.
_POSSIBLE = {
    "forgetting_source": (-1, 1),
    "forgetting_others": (-1, 1),
    "retention": (0, np.inf),
    "corruption_drop": (-np.inf, 1),
    "seconds": (0, np.inf),
    "memory": (0, np.inf),
}
_RATIOS = ("retention", "corruption_drop")


@dataclass(frozen=True)
class Estimates:
    """Numbers of every recipe and measure.

    Attributes:
        told: [recipes][measures], each number.
        differences: [recipes][measures], the same minus the plain recipe's.
        holm: float64[recipes, measures], p of the differences after Holm, over the recipes of a measure.
    """

    told: list[list[Told]]
    differences: list[list[Told]]
    holm: np.ndarray


def compare(compared: Compared) -> Estimates:
    """Every measure of every contestant, with differences to the plain recipe."""
    made = [quantities(one, compared) for one in compared.contestants]
    told = [[of[name].told().within(*_POSSIBLE.get(name, (0, 1))) for name in MEASURES] for of in made]
    differences = [[_difference(of, made[0], name) for name in MEASURES] for of in made]
    p = np.array([[cell.p for cell in row] for row in differences])
    return Estimates(told, differences, np.stack([holm(column) for column in p.T], axis=1))


def _difference(of: dict[str, Quantity], plain: dict[str, Quantity], name: str) -> Told:
    if of is plain:
        return Told(missing=ITSELF)
    for one in (of, plain):  # what one of both lacks has no difference
        if isinstance(one[name], Missing):
            return one[name].told()
    most = np.inf if name in _RATIOS else 1
    return of[name].minus(plain[name]).within(-most, most)


def quantities(one: Contestant, compared: Compared) -> dict[str, Quantity]:
    """All measures of a contestant, in their order."""
    return {
        **_accuracies(one, compared),
        **_transfers(one, compared),
        **_forgetting(one, compared),
        **_calibration(one),
        **_robustness(one, compared),
        **_cost(one),
    }


def _accuracies(one: Contestant, compared: Compared) -> dict[str, Quantity]:
    correct, labels = one.correct["report"], compared.labels["report"]
    worst = compared.worst_class()
    return {
        "accuracy": accuracy(one, compared),
        "class_mean_accuracy": Mean(correct, image_weights(labels, "per_class")),
        "worst_class_accuracy": Missing("it is chosen by models from scratch, of which there are none")
        if worst is None
        else Mean(correct, (labels == worst).astype(float)),
    }


def accuracy(one: Contestant, compared: Compared, half: str = "report") -> Quantity:
    """By the target's metric."""
    if compared.metric == "auroc":
        return OfModels(one.accuracy[half], AN_AREA)
    return Mean(one.correct[half], compared.weights(half))


def _transfers(one: Contestant, compared: Compared) -> dict[str, Quantity]:
    """Answers that differ from those of the model from scratch of the same repeat."""
    names = ("negative_transfer", "positive_transfer")
    if compared.scratch is None:
        return dict.fromkeys(names, Missing("there are no models from scratch"))
    weights, scratch = compared.weights("report"), compared.scratch.correct["report"]
    if one.from_scratch:
        return dict.fromkeys(names, Mean(disagreement(scratch), weights))
    tuned = one.correct["report"]
    return {
        "negative_transfer": Mean(scratch * (1 - tuned), weights),
        "positive_transfer": Mean((1 - scratch) * tuned, weights),
    }


def disagreement(correct: np.ndarray) -> np.ndarray:
    """How often a model is right where another one of the same kind is wrong: float64[models, images].

    The mean is that over all ordered pairs of models. As each model is in several pairs, its value is what it
    adds to that mean (a pseudo-value of the U-statistic), so that errors over models come out right.

    Args:
        correct: [models, images], 1 or 0, of at least two models.
    """
    models, right = len(correct), correct.sum(0)
    mean = right * (models - right) / (models * (models - 1))
    against_others = (correct * (models - right) + (1 - correct) * right) / (2 * (models - 1))
    return 2 * against_others - mean


def _forgetting(one: Contestant, compared: Compared) -> dict[str, Quantity]:
    """What linear probes say of the source and of other data sets, and the source's own head of it."""
    if one.from_scratch:
        return dict.fromkeys(("forgetting_source", "forgetting_others", "retention"), Missing(NO_SOURCE))
    others = {name: change for name, change in one.forgetting.items() if name != compared.source}
    measures = one.measures
    return {
        "forgetting_source": forgetting(one.forgetting[compared.source]),
        "forgetting_others": _over_sets(list(others.values())),
        "retention": Ratio(
            measures.retained.values.astype(float), measures.source_correct.values.astype(float)
        ),
    }


def forgetting(change: np.ndarray) -> Mean:
    """The mean of changes [models, images] of one data set."""
    return Mean(change, np.ones(change.shape[1]))


def mean_forgetting(one: Contestant) -> Quantity:
    """The mean of all data sets that are probed, the source among them."""
    return Missing(NO_SOURCE) if one.from_scratch else _over_sets(list(one.forgetting.values()))


def _over_sets(changes: list[np.ndarray]) -> Quantity:
    """The mean of the means of data sets, each [models, images]."""
    if not changes:
        return Missing("no other data sets are probed (comparison.others)")
    images = [change.shape[1] for change in changes]
    weights = np.concatenate([np.full(count, 1 / count) for count in images])
    return Mean(np.concatenate(changes, axis=1), weights, np.repeat(np.arange(len(images)), images))


def _calibration(one: Contestant) -> dict[str, Quantity]:
    confidence, correct = one.measures.confidence.values.astype(float), one.measures.correct.values
    return {
        "calibration_error": OfModels(calibration_error(confidence, correct)),
        "brier": Mean((confidence - correct) ** 2, np.ones(correct.shape[1])),
    }


def _robustness(one: Contestant, compared: Compared) -> dict[str, Quantity]:
    clean, corrupted = one.measures.correct.values, one.measures.corrupted_correct.values
    if 0 in corrupted.shape[1:3]:
        nothing = Missing("no corruptions are asked for (comparison.corruptions)")
        return {"corrupted_accuracy": nothing, "corruption_drop": nothing}
    weights, right = compared.weights("report"), corrupted.mean((1, 2))
    return {
        "corrupted_accuracy": Mean(right, weights),
        "corruption_drop": Ratio(weights * (clean - right), weights * clean),
    }


def _cost(one: Contestant) -> dict[str, Quantity]:
    if one.cost is None:
        return dict.fromkeys(("seconds", "memory"), Missing("it is adapted by the plain recipe"))
    cost, note = one.cost, str(one.cost.attrs["note"])
    rounds, peak = cost.seconds.values / cost.plain_seconds.values, float(cost.peak / cost.plain_peak)
    return {
        "seconds": Rounds(rounds) if len(rounds) else Missing(note or "no step was timed"),
        "memory": Alone(peak, ONCE) if np.isfinite(peak) else Missing(note or "it was not measured"),
    }


def by_class(one: Contestant, compared: Compared) -> Iterator[Told]:
    """Accuracy of each class on the report half."""
    labels = compared.labels["report"]
    for c in range(len(compared.classes)):
        yield Mean(one.correct["report"], (labels == c).astype(float)).told().within(0, 1)


def by_corruption(one: Contestant, compared: Compared) -> np.ndarray:
    """Accuracy on corrupted images, float64[corruptions, severities]: mean over models."""
    of_images = one.measures.corrupted_correct.values.mean(0)
    return np.average(of_images, axis=-1, weights=compared.weights("report"))
