"""Label maps: how probably an image of a reference class becomes one of a target class.

A label map is B float64[K_T, K_R], whose columns sum to 1. Where nothing is learned it pairs classes: with as
many classes on both sides each with one of the other side; else every class of the larger side with one of
the smaller, none of which is left out. Of a reference class that is paired with several target classes (fewer
reference classes), each gets its share by the target's frequencies. Where more reference classes are, several
make one target class.
"""

import numpy as np
import scipy

from transferlens.relatedness.tasks import Sample
from transferlens.relatedness.transport import class_distances

# What a label map that is to be learned keeps of its pairs at the start. At 1 it could not leave them: mixing
# in another class at all costs entropy at an infinite rate.
_KEPT = 0.7


def paired_map(
    start: str, reference: Sample, target: Sample, prior: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The label map of a `start` ("random", "hungarian" or "uniform") that stays as it is.

    A uniform map gives every reference class the target's frequencies: labels tell nothing.

    Args:
        prior: P_T float64[K_T].
    """
    if start == "uniform":
        return np.repeat(prior[:, None], reference.classes, axis=1)
    if start == "hungarian":
        pairs = hungarian_pairs(class_distances(reference, target))
    else:
        pairs = random_pairs(target.classes, reference.classes, rng)
    shares = pairs * prior[:, None]
    return shares / shares.sum(0)


def learnable_map(
    start: str, reference: Sample, target: Sample, prior: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """The label map of a `start` that learning leaves; random ones have logits U(0, 1), as published."""
    if start == "random":
        return scipy.special.softmax(rng.random((target.classes, reference.classes)), axis=0)
    pairs = paired_map(start, reference, target, prior, rng)
    return _KEPT * pairs + (1 - _KEPT) * prior[:, None]


def random_pairs(targets: int, references: int, rng: np.random.Generator) -> np.ndarray:
    """bool[targets, references]: each of the larger side with a random one of the smaller, all occurring."""
    few, many = sorted((targets, references))
    partner = rng.permutation(np.concatenate([rng.permutation(few), rng.integers(0, few, many - few)]))
    pairs = np.zeros((few, many), bool)
    pairs[partner, np.arange(many)] = True
    return pairs if targets == few else pairs.T


def hungarian_pairs(cost: np.ndarray) -> np.ndarray:
    """bool of cost's shape: the one-to-one pairs of least total cost; who is left over takes the cheapest."""
    pairs = np.zeros(cost.shape, bool)
    pairs[scipy.optimize.linear_sum_assignment(cost)] = True
    left = np.flatnonzero(~pairs.any(0))
    pairs[cost[:, left].argmin(0), left] = True
    left = np.flatnonzero(~pairs.any(1))
    pairs[left, cost[left].argmin(1)] = True
    return pairs


def entropy(label_map: np.ndarray, prior: np.ndarray) -> float:
    """H(Y_R'' | Y_R') in nats, of reference classes of frequencies `prior`."""
    return float(scipy.special.entr(label_map).sum(0) @ prior)
