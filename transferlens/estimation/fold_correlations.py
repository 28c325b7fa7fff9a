"""Do effects on two outputs of the same models go together over units? Rank correlations across two folds.

Effects on two outputs of the same models share the models' chance, and would go together if no unit did
anything. So one fold of the draws tells of one output and the other fold of the other, and both ways are
averaged. Errors draw such a correlation towards zero; how far is read off that of effects with themselves.
"""

import numpy as np

from transferlens.core.statistics import centred_ranks, rank_correlations

# With fewer units no order of them is told.
FEWEST_UNITS = 5


def correlation(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Spearman's correlations over units of effects [2, ..., units] on one output and another, each time of
    different folds; the mean of both ways, [...]; NaN where effects are undefined, or the same for all units.
    """
    units = one.shape[-1]
    both = rank_correlations(one.reshape(-1, units), other[::-1].reshape(-1, units))
    return both.reshape(one.shape[:-1]).mean(0)


def without_each(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """`correlation` without each of the units, [units, ...]."""
    return np.stack(
        [correlation(np.delete(one, unit, -1), np.delete(other, unit, -1)) for unit in range(one.shape[-1])]
    )


def exchanged(one: np.ndarray, other: np.ndarray, permutations: int, rng: np.random.Generator) -> np.ndarray:
    """`correlation` if the units of the first fold are exchanged at random, [permutations, ...].

    Those of its effects on both outputs alike: where the two share the chance of their models, both ways of
    crossing folds are nearly one, and so must their permutations be.
    """
    units, shape = one.shape[-1], one.shape[1:-1]
    a, b = (_scaled(effects).reshape(2, -1, units) for effects in (one, other))
    orders = np.array([rng.permutation(units) for _ in range(permutations)])
    null = [
        (a[0, cell][orders] @ b[1, cell] + b[0, cell][orders] @ a[1, cell]) / 2 for cell in range(a.shape[1])
    ]
    return np.stack(null, axis=1).reshape(permutations, *shape)


def _scaled(effects: np.ndarray) -> np.ndarray:
    """Ranks of effects [..., units] about their mean, of length 1; NaN where all are the same."""
    ranks = centred_ranks(effects)
    length = np.linalg.norm(ranks, axis=-1, keepdims=True)
    return np.divide(ranks, length, out=np.full(ranks.shape, np.nan), where=length > 0)
