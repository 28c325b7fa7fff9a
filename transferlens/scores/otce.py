"""OTCE's two parts: how far target images are from source images, and how little source labels say of theirs.

    P = optimal transport plan between features of source and target images (squared Euclidean cost C)
    domain difference W = <P, C>
    task difference   H = conditional entropy of the target label given the source label under P, in nats

`domain` is -W, `f_otce` -H. Sources: Tan, Li, Huang, OTCE: a transferability metric for cross-domain
cross-task representations, CVPR 2021; F-OTCE: Tan, Li, Huang, Zhang, Transferability-guided cross-domain
cross-task transfer learning. OTCE itself is a linear fit of W and H to accuracies of auxiliary tasks: it
needs trained models, and is no score here. The plan is exact; of more than 2,500 images of a task, that many
are taken, evenly from every class.
"""

import warnings
from functools import partial
from typing import NamedTuple

import numpy as np

from transferlens.core.imports import pot
from transferlens.scores.candidate import Candidate, Unavailable
from transferlens.scores.moments import spread
from transferlens.scores.nce import conditional_entropy

_MOST = 2500
_ITERATIONS = 10_000_000


class Differences(NamedTuple):
    """W and H of two tasks."""

    domain: float
    task: float


def f_otce(candidate: Candidate) -> float:
    """Minus the task difference; needs source images."""
    return -_differences(candidate).task


def domain(candidate: Candidate) -> float:
    """Minus the domain difference; needs source images."""
    return -_differences(candidate).domain


def _differences(candidate: Candidate) -> Differences:
    return candidate.shared.part("transport", partial(_transported, candidate))


def _transported(candidate: Candidate) -> Differences:
    features, labels = candidate.source
    source, target = spread(labels, _MOST), spread(candidate.labels, _MOST)
    return differences(features[source], labels[source], candidate.features[target], candidate.labels[target])


def differences(
    source: np.ndarray, source_labels: np.ndarray, target: np.ndarray, target_labels: np.ndarray
) -> Differences:
    """Of two sets of features float64[images, features] with labels int64[images].

    Raises:
        Unavailable: the transport did not converge.
    """
    cost = pot().dist(source, target, metric="sqeuclidean")
    plan, log = _plan(cost)
    joint = np.zeros((source_labels.max() + 1, target_labels.max() + 1))
    row, column = np.nonzero(plan)
    np.add.at(joint, (source_labels[row], target_labels[column]), plan[row, column])
    return Differences(float(log["cost"]), conditional_entropy(joint))


def _plan(cost: np.ndarray) -> tuple[np.ndarray, dict]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # they are in the log
        plan, log = pot().emd([], [], cost, numItermax=_ITERATIONS, log=True)
    if log["warning"]:
        raise Unavailable(f"the transport did not converge: {log['warning']}")
    return plan, log
