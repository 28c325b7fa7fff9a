"""PACTran: minus PAC-Bayesian bounds of the error after transfer, with a Gaussian, Dirichlet or Gamma prior.

Gauss, on centred features x of d dimensions, N images, K classes (natural logarithm, l = 1, s2 = 10 l / d):

    min over W, c of  [ mean cross-entropy of softmax(W x + c) + |W|^2 / (2 l N) ]
    + K d s2 / (2 l N) * log( l N h / (K d) ),
    h = sum over images of (1 + |x|^2) sum_k p_k (1 - p_k) + K d / (l N)

Dirichlet and Gamma, on the source head's probabilities theta: bounds of the target's mean log-likelihood
where each source class z has its own Dirichlet distribution over target classes (or Gamma rates of them),
after ten rounds of variational inference from q = theta; prior strength 1, spread as the target classes are.
Source: Ding, Chen, Levinboim, Changpinyo, Soricut, PACTran: PAC-Bayesian metrics for estimating the
transferability of pretrained models to classification tasks, ECCV 2022. The bounds are lower for better
sources: signs are turned. The minimum is by L-BFGS from W = 0 in at most 100 iterations (the published code
starts at random). Published h sums the curvature over images, and so does this.
"""

import numpy as np
from scipy.optimize import minimize
from scipy.special import digamma, gammaln, log_softmax, softmax

from transferlens.scores.candidate import Candidate
from transferlens.scores.moments import Moments, class_sums

_PRIOR = 1.0  # l
_TEMPERATURE = 10.0  # s2 d / l
_ITERATIONS = 100
_ROUNDS = 10
_TINY = 1e-10


def gauss(candidate: Candidate) -> float:
    """Minus the Gaussian bound."""
    return -gauss_bound(candidate.moments, candidate.labels, _PRIOR, _TEMPERATURE * _PRIOR)[0]


def gauss_bound(
    moments: Moments, labels: np.ndarray, prior: float, temperature: float
) -> tuple[float, float]:
    """(the bound, its first part: the least penalised cross-entropy).

    Args:
        prior: l.
        temperature: s2 d.
    """
    images, classes = len(labels), len(moments.counts)
    loss, weights = fitted_head(moments.coordinates, labels, classes, prior * images)
    p = softmax(_logits(moments.coordinates, weights), axis=1)
    squares = 1 + np.einsum("nr,nr->n", moments.coordinates, moments.coordinates)
    weighed = classes * moments.dimensions / (prior * images)  # K d / (l N)
    curvature = squares @ (p * (1 - p)).sum(1) + weighed
    price = 0.5 * weighed * temperature / moments.dimensions
    return loss + price * float(np.log(curvature / weighed)), loss


def fitted_head(
    features: np.ndarray, labels: np.ndarray, classes: int, variance: float
) -> tuple[float, np.ndarray]:
    """(least penalised cross-entropy, weights float64[features + 1, classes], the offset last)."""
    rows = np.arange(len(labels))

    def loss_and_slope(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(-1, classes)
        logs = log_softmax(_logits(features, weights), axis=1)
        loss = -logs[rows, labels].mean() + 0.5 * (weights[:-1] ** 2).sum() / variance
        error = np.exp(logs)
        error[rows, labels] -= 1
        error /= len(labels)
        slope = np.vstack([features.T @ error + weights[:-1] / variance, error.sum(0)])
        return float(loss), slope.ravel()

    start = np.zeros((features.shape[1] + 1) * classes)
    options = {"maxiter": _ITERATIONS, "gtol": 1e-6, "ftol": 1e-6}
    found = minimize(loss_and_slope, start, jac=True, method="L-BFGS-B", options=options)
    return float(found.fun), found.x.reshape(-1, classes)


def _logits(features: np.ndarray, weights: np.ndarray) -> np.ndarray:
    return features @ weights[:-1] + weights[-1]


def dirichlet(candidate: Candidate) -> float:
    """Minus the Dirichlet bound; needs logits."""
    labels, classes, prior, theta, logs = _source_classes(candidate)
    belief = theta
    for _ in range(_ROUNDS):
        counts = prior + class_sums(belief, labels, classes)  # [classes, source classes]
        scores = logs + digamma(counts)[labels] - digamma(counts.sum(0))
        belief = softmax(scores, axis=1)
    log_belief = log_softmax(scores, axis=1)
    before = gammaln(prior.sum()) - gammaln(prior).sum()
    after = gammaln(counts.sum(0)) - gammaln(counts).sum(0)
    gained = (before - after).sum() - (belief * (log_belief - logs)).sum()
    return float(gained / (len(labels) * classes))


def gamma(candidate: Candidate) -> float:
    """Minus the Gamma bound; needs logits."""
    labels, classes, prior, theta, logs = _source_classes(candidate)
    belief = theta
    for _ in range(_ROUNDS):
        counts = prior + class_sums(belief, labels, classes)
        rate = theta @ counts.sum(0)
        scores = logs + digamma(counts)[labels]
        belief = softmax(scores, axis=1)
    log_belief = log_softmax(scores, axis=1)
    lost = (gammaln(prior) - gammaln(counts)).sum()
    lost += (belief * (log_belief - logs)).sum() + (np.log(rate) - 1).sum()
    return -float(lost / (len(labels) * classes) + 1)


def _source_classes(candidate: Candidate) -> tuple[np.ndarray, int, np.ndarray, np.ndarray, np.ndarray]:
    """(labels, classes, prior float64[classes, 1], theta, log theta)."""
    theta = softmax(candidate.logits, axis=1)
    share = np.bincount(candidate.labels, minlength=candidate.classes)[:, None] / len(candidate.labels)
    return candidate.labels, candidate.classes, share + _TINY, theta, np.log(theta + _TINY)
