"""Do source classes that resemble the target class help it more? A check with a known expectation.

Pairs of a target class and a source class are `same` (equal names), `related` (same group, other class) or
`unrelated` (another group). Mean influences of the three kinds are compared with a jackknife over models.
"""

from itertools import pairwise

import numpy as np

from transferlens.statistics import Interval, jackknife_interval

RELATIONS = ("same", "related", "unrelated")


def relation_weights(
    target_names: list[str],
    target_groups: list[str],
    source_names: list[str],
    source_groups: list[str],
) -> dict[str, np.ndarray]:
    """Averaging weights float64[target classes, source classes] of every kind of pair that occurs."""
    same = np.array([[t == s for s in source_names] for t in target_names])
    known = np.array([[bool(t and s) for s in source_groups] for t in target_groups])
    group = np.array([[t == s for s in source_groups] for t in target_groups])
    members = {
        "same": same,
        "related": ~same & known & group,
        "unrelated": ~same & known & ~group,
    }
    return {name: m / m.sum() for name, m in members.items() if m.any()}


def compare_relations(
    masks: np.ndarray, means: np.ndarray, weights: dict[str, np.ndarray]
) -> dict[str, Interval]:
    """Mean influence of every relation, and the difference of each to the next weaker one.

    Args:
        masks: bool[models, source classes].
        means: float64[models, target classes], each model's mean output on each target class.
        weights: as `relation_weights` returns.
    """
    contrasts = dict(weights)
    present = [r for r in RELATIONS if r in weights]
    for stronger, weaker in pairwise(present):
        contrasts[f"{stronger} - {weaker}"] = weights[stronger] - weights[weaker]
    return {name: _jackknife_contrast(masks, means, w) for name, w in contrasts.items()}


def _jackknife_contrast(masks: np.ndarray, means: np.ndarray, weights: np.ndarray) -> Interval:
    """Sum of weights times influences, with its leave-one-model-out interval."""
    z = masks.astype(np.float64)
    n_in, n_out = z.sum(0), (1 - z).sum(0)
    sum_in, sum_out = means.T @ z, means.T @ (1 - z)  # [target classes, source classes]

    def contrast(s_in, k_in, s_out, k_out) -> float:
        return float(np.sum(weights * (s_in / k_in - s_out / k_out)))

    without = [
        contrast(
            sum_in - np.outer(means[m], z[m]),
            n_in - z[m],
            sum_out - np.outer(means[m], 1 - z[m]),
            n_out - (1 - z[m]),
        )
        for m in range(len(z))
    ]
    return jackknife_interval(contrast(sum_in, n_in, sum_out, n_out), np.array(without))
