"""SFDA: how surely a self-challenged Fisher discriminant names the true class.

    1. probabilities p of Fisher's discriminant, its covariance within classes shrunk by exp(-5 l), at least
       1e-10, with l roughly the largest eigenvalue: after six products with the row sums, as published
    2. q_n = softmax(p_n) at n's class; each image moves towards the other classes:
       x_n <- q_n x_n + (1 - q_n) (mean of the other classes' means)
    3. a second discriminant with the same shrinkage on the moved images; SFDA = its mean probability of the
       true class, 0 to 1

Source: Shao et al., Not all models are equal: predicting model transferability in a self-challenging Fisher
space, ECCV 2022. The published code moves the images in the caller's array; here the features stay as they
are.
"""

import numpy as np
from scipy.special import softmax

from transferlens.scores.candidate import Candidate
from transferlens.scores.fisher import discriminant, posterior, shrink
from transferlens.scores.moments import class_sums


def sfda(candidate: Candidate) -> float:
    """Mean probability of the true class in the self-challenged Fisher space."""
    labels, moments = candidate.labels, candidate.moments
    first = discriminant(candidate)
    moved = self_challenged(candidate, first.probabilities)
    means = class_sums(moved, labels, candidate.classes) / moments.counts[:, None]
    within = (moved.T @ moved - (means.T * moments.counts) @ means) / len(moved)
    covariance = shrink(within, first.shrinkage, moments.dimensions)
    second = posterior(moved, means, moments.counts / len(moved), covariance)
    return float(second[np.arange(len(labels)), labels].mean())


def self_challenged(candidate: Candidate, probabilities: np.ndarray) -> np.ndarray:
    """Coordinates float64[images, r], each moved towards the other classes as far as it is unsure."""
    labels, means = candidate.labels, candidate.moments.class_means
    others = (means.sum(0) - means) / (len(means) - 1)
    sure = softmax(probabilities, axis=1)[np.arange(len(labels)), labels][:, None]
    moved = others[labels]
    moved *= 1 - sure
    moved += sure * candidate.moments.coordinates
    return moved
