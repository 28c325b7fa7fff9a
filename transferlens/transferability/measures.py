"""How well a ranker orders candidates: rank correlations with their accuracies, and what its choice loses.

Every measure takes scores and accuracies float64[candidates], higher better for both.
"""

from collections.abc import Callable

import numpy as np
import scipy

# So many candidates are what one chooses from in `regret of 8`: the mean over all sets of so many.
CHOICE = 8
# With fewer candidates no order is told.
LEAST_CANDIDATES = 3


def weighted_tau(scores: np.ndarray, accuracy: np.ndarray) -> float:
    """Kendall's tau in which exchanges among the best weigh most (Vigna 2015): hyperbolic weights, the mean
    over ranking by the one and by the other.
    """
    return float(scipy.stats.weightedtau(scores, accuracy).statistic)


def kendall_tau(scores: np.ndarray, accuracy: np.ndarray) -> float:
    """Kendall's tau-b."""
    return float(scipy.stats.kendalltau(scores, accuracy, method="asymptotic").statistic)


def spearman(scores: np.ndarray, accuracy: np.ndarray) -> float:
    """Pearson's correlation of ranks; ties share the mean of theirs."""
    return pearson(scipy.stats.rankdata(scores), scipy.stats.rankdata(accuracy))


def pearson(scores: np.ndarray, accuracy: np.ndarray) -> float:
    """Pearson's correlation."""
    x, y = scores - scores.mean(), accuracy - accuracy.mean()
    return float((x @ y) / np.sqrt((x @ x) * (y @ y)))


def regret(scores: np.ndarray, accuracy: np.ndarray, among: int | None = None) -> float:
    """What the highest score loses: the best accuracy minus that of the candidate with the highest score.

    Args:
        among: its mean over all choices among so many of the candidates; None for the one among all.

    Equal scores are told apart by lot.
    """
    first = _first_of(len(scores), among or len(scores))
    by_score = accuracy[np.argsort(scores, kind="stable")]
    _, tied = np.unique(scores, return_inverse=True)
    tied = np.sort(tied)
    expected = (np.bincount(tied, by_score) / np.bincount(tied))[tied]
    return float(first @ (np.sort(accuracy) - expected))


def _first_of(candidates: int, among: int) -> np.ndarray:
    """How probably each candidate, the last one first in order, is the first among so many drawn of them:
    float64[candidates], ascending.
    """
    below = np.arange(candidates)
    chosen = scipy.special.comb(below, among - 1) / scipy.special.comb(candidates, among)
    return chosen / chosen.sum()


def regret_of_few(scores: np.ndarray, accuracy: np.ndarray) -> float:
    """Mean regret of the choice among `CHOICE` candidates; NaN with fewer than twice as many."""
    return regret(scores, accuracy, CHOICE) if len(scores) >= 2 * CHOICE else np.nan


MEASURES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "weighted tau": weighted_tau,
    "tau": kendall_tau,
    "spearman": spearman,
    "pearson": pearson,
    "regret": regret,
    f"regret of {CHOICE}": regret_of_few,
}
# Those whose intervals are made on Fisher's scale.
CORRELATIONS = ("weighted tau", "tau", "spearman", "pearson")
# That by which rankers are compared.
MAIN = "weighted tau"
# What depends on one candidate alone has no interval: leaving it out changes all, leaving out others nothing.
WITHOUT_INTERVAL = ("regret",)


def why_not(scores: np.ndarray, accuracy: np.ndarray) -> str:
    """Why these candidates have no order to be told; '' where they have."""
    if len(scores) < LEAST_CANDIDATES:
        return f"known for {len(scores)} candidates, fewer than {LEAST_CANDIDATES}"
    if np.ptp(scores) == 0:
        return "the same for all of these candidates"
    return "" if np.ptp(accuracy) else "all of these candidates are equally accurate"


def measured(scores: np.ndarray, accuracy: np.ndarray) -> np.ndarray:
    """All MEASURES, float64[measures]; NaN where there is no order to be told."""
    if why_not(scores, accuracy):
        return np.full(len(MEASURES), np.nan)
    return np.array([measure(scores, accuracy) for measure in MEASURES.values()])
