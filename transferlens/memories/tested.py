"""Which pairs of classes get a p and a q, so that these hold for other models, too.

Errors of a mean over models have few degrees of freedom: with few pairs of models hardly anything survives a
correction for hundreds of pairs of classes. So either there are many pairs of models, and all pairs of
classes are tested; or only those few are that other models have chosen, on other images.
"""

import numpy as np

from transferlens.core.statistics import q_values

# Pairs of models from which on all pairs of classes are tested; and of how many else, at most.
ENOUGH_MODELS = 12
MOST_CHOSEN = 10


def choose(rank: np.ndarray, effect: np.ndarray) -> np.ndarray:
    """Mark the cells to test, of the shape of `effect`: the largest ones above zero, by the select half.

    Args:
        rank: what they are ranked by: the effect, or the lower end of its interval; by the effect where no
            interval is known (of a single pair of models).
        effect: float64; NaN where there is no candidate.
    """
    rank = effect if np.isnan(rank).all() else rank
    rank = np.where((effect > 0) & ~np.isnan(rank), rank, -np.inf)
    best = np.argsort(-rank, axis=None, kind="stable")[:MOST_CHOSEN]
    chosen = np.zeros(effect.size, bool)
    chosen[best] = np.isfinite(rank.ravel()[best])
    return chosen.reshape(effect.shape)


def test(p: np.ndarray, models: int, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """P and q (Benjamini-Hochberg) of the cells that are tested; NaN for the others.

    Args:
        p: float64, of every cell.
        models: pairs of models that p rests on.
        chosen: bool, of the same shape: the cells that are tested where these are few.
    """
    tested = p if models >= ENOUGH_MODELS else np.where(chosen, p, np.nan)
    return tested, q_values(tested)


def untested(models: int) -> str:
    """Why most cells have no p and q; '' where all have."""
    if models >= ENOUGH_MODELS:
        return ""
    if models < 2:
        return "a single pair of models tells nothing of other models: raise memories.models"
    return (
        f"{models} pairs of models are too few to test all pairs of classes (from {ENOUGH_MODELS} on they "
        f"are): p and q are of the {MOST_CHOSEN} strongest of the select half, chosen with other models"
    )
