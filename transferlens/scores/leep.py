"""LEEP: mean log-likelihood of target labels by the source head's probabilities, read as soft source classes.

    LEEP = mean_n log sum_z p(y_n | z) theta_z(x_n),   p(y | z) = p(y, z) / p(z),
    p(y, z) = (1/N) sum over n of class y of theta_z(x_n),   theta = softmax of the source logits

Source: Nguyen, Hassner, Seeger, Archambeau, LEEP: a new measure to evaluate transferability of learned
representations, ICML 2020. At most 0. Natural logarithm of the sum, as in the paper (one published
implementation averages the probability instead). A source class without any mass says nothing and is left
out.
"""

import numpy as np
from scipy.special import softmax

from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import class_sums


def leep(candidate: Candidate) -> float:
    """The log expected empirical prediction; needs logits."""
    return expected_prediction(softmax(candidate.logits, axis=1), candidate.labels, candidate.classes)


def expected_prediction(theta: np.ndarray, labels: np.ndarray, classes: int) -> float:
    """Mean log-likelihood of the labels given soft memberships theta float64[images, groups]."""
    joint = class_sums(theta, labels, classes)
    mass = joint.sum(0)
    conditional = np.divide(joint, mass, out=np.zeros_like(joint), where=mass > 0)
    likelihood = np.einsum("nz,nz->n", theta, conditional[labels])
    return float(np.log(likelihood).mean())
