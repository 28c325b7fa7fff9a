"""Intervals of the bound and its terms for other test images of the same classes.

Given the heads and the transform, which come from training images, every term is a sum over classes of means
over their images: losses and accuracies are, and the Wasserstein distance is to first order, by the
potentials of its transport (del Barrio and Loubes 2019). So its variance over images drawn anew within each
class is that of these means. A bootstrap within classes has no other; one that solves each replicate's
transport would add the bias of images drawn twice.

The intervals are for the mean over samples of these sizes. The distance of samples lies above that of the
distributions they come from, in high dimensions far above, and no interval around the former covers the
latter: see the floor.
"""

import numpy as np

from transferlens.core.statistics import Interval, t_interval
from transferlens.relatedness.evaluation import Evaluation
from transferlens.relatedness.tasks import Sample


def intervals(of: Evaluation, values: dict[str, np.ndarray]) -> dict[str, Interval]:
    """95 % intervals of the terms of a relation, by name; ends are NaN where a class that counts has one
    image.

    Args:
        values: of the terms, floats or float64[K_T]; names as in `_of_reference` and `_of_target`.
    """
    references, targets = _of_reference(of), _of_target(of)
    found = {}
    for name, value in values.items():
        means = [
            _class_means(sample, parts[name])
            for sample, parts in ((of.reference, references), (of.target, targets))
            if name in parts
        ]
        variance, df = (np.concatenate([pair[k] for pair in means], axis=-1) for k in range(2))
        found[name] = _interval(np.asarray(value), variance, df)
    return found


def _of_reference(of: Evaluation) -> dict[str, np.ndarray]:
    """What each reference image adds to a term's mean over its class, float64[n_R] or float64[K_T, n_R]."""
    share, made = of.target.frequencies, of.transform.target_prior
    counts = np.bincount(of.reference.labels)[of.reference.labels]
    losses, moves = (counts * of.weights * each for each in (of.mixed_losses.T, of.reference_potentials))
    own = of.transform.prior[of.reference.labels] * of.reference_losses
    gap, reach = (share - made) @ losses, of.lipschitz * moves
    return {
        "reference_loss": own,
        "wasserstein": share @ moves,
        "prior_gap": gap,
        "bound": own + gap + share @ reach,
        "bound_tight": share @ (losses + reach),
        "class_wasserstein": moves,
        "class_reference_loss": losses,
        "class_bound": losses + reach,
    }


def _of_target(of: Evaluation) -> dict[str, np.ndarray]:
    """The same of the target's images, float64[n_T] or float64[K_T, n_T]."""
    share, members = (
        of.target.frequencies,
        np.arange(of.transform.label_map.shape[0])[:, None] == of.target.labels,
    )
    of_class = {
        "wasserstein": members * of.target_potentials,
        "bound": members * of.target_potentials * of.lipschitz,
        "bound_tight": members * of.target_potentials * of.lipschitz,
        "transformed_loss": members * of.own(of.transformed_losses),
        "probe_loss": members * of.own(of.probe_losses),
        "transformed_accuracy": members * of.correct(of.transformed_losses),
        "probe_accuracy": members * of.correct(of.probe_losses),
    }
    whole = {name: share @ part for name, part in of_class.items()}
    in_classes = ("wasserstein", "bound", "transformed_loss", "probe_loss")
    return whole | {f"class_{name}": of_class[name] for name in in_classes}


def _class_means(sample: Sample, parts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Variances of the class means of parts float64[..., images], float64[..., classes], and their df."""
    counts = np.bincount(sample.labels)
    variance = np.zeros((*parts.shape[:-1], len(counts)))
    for label, count in enumerate(counts):
        of_class = parts[..., sample.labels == label]
        # A class that counts nothing has no error, however few images it has.
        unknown = np.where(of_class.any(-1), np.nan, 0.0)
        variance[..., label] = of_class.var(-1, ddof=1) / count if count > 1 else unknown
    return variance, np.broadcast_to(np.maximum(counts - 1, 1), variance.shape)


def _interval(value: np.ndarray, variance: np.ndarray, df: np.ndarray) -> Interval:
    """Of a sum of independent means, with Satterthwaite's degrees of freedom; no width without variance."""
    total, spread = variance.sum(-1), (variance**2 / df).sum(-1)
    return t_interval(
        value, np.sqrt(total), np.divide(total**2, spread, out=np.ones_like(total), where=spread > 0)
    )
