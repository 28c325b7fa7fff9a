"""Two disjoint sets of draws of masks: what is chosen with one is reported by the other.

The largest of many estimates is too large, whatever images it is looked at on: the models that made it large
are the same. An estimate from other models is not. So every claim about something chosen is made twice,
each fold choosing for the other, and the two are averaged.

The draws of a balanced block are not independent of each other: what one half of it has too much of, the
other half has too little. Least squares takes that out; differences of means do not, so that they need whole
blocks on either side.
"""

from dataclasses import dataclass

import numpy as np

from transferlens.core.errors import ConfigError
from transferlens.estimation import estimators
from transferlens.estimation.hadamard import order_for

FOLDS = 2
# Draws a fold needs for differences of means: Student's intervals of fewer are no longer right.
_FEWEST_DRAWS = 8


@dataclass(frozen=True)
class Folds:
    """Which draws are in which fold, and what estimates effects within one.

    Attributes:
        estimator: the reported one, if half of the draws allow it and it is not drawn towards zero.
        of_model: int64[models], 0 or 1; the models of a pair share theirs.
    """

    estimator: str
    of_model: np.ndarray


def divide(masks: np.ndarray, reported: str) -> Folds:
    """Two folds of the draws of masks bool[models, units], for estimates by the estimator that is `reported`.

    Raises:
        ConfigError: too few draws for two folds.
    """
    draws = estimators.independent_rows(masks)
    blocks = draws // draws_a_block(masks)
    blocked = blocks[-1] < draws[-1]
    if reported != "difference_of_means" or blocked:
        fold = _halves(blocks, draws)
        if all(_allow("least_squares", masks[fold == f]) for f in range(FOLDS)):
            return Folds("least_squares", fold)
    fold = blocks % FOLDS if blocked else _halves(draws, draws)
    if not all(_suffice(masks[fold == f], draws[fold == f]) for f in range(FOLDS)):
        kind = "pairs of models" if estimators.is_fold_over(masks) else "models"
        within = " in whole blocks of their design" if blocked else ""
        raise ConfigError(
            f"{len(masks)} models do not make two folds of at least {_FEWEST_DRAWS} {kind}{within}; raise "
            "studies.influence.models"
        )
    return Folds("difference_of_means", fold)


def draws_a_block(masks: np.ndarray) -> int:
    """Draws of a balanced block: those of a whole Hadamard matrix, if masks are its rows, else one."""
    if not estimators.is_fold_over(masks):
        return 1
    signs, order = estimators.pair_signs(masks), order_for(masks.shape[1])
    whole = signs[:order]
    # Of fewer pairs than a block has, rows are orthogonal to each other only if all columns are in use.
    if len(whole) == order:
        return order if np.array_equal(whole.T @ whole, order * np.eye(masks.shape[1])) else 1
    overlap = np.abs(whole @ whole.T - masks.shape[1] * np.eye(len(whole)))
    return order if overlap.max(initial=0) <= order - masks.shape[1] else 1


def _halves(blocks: np.ndarray, draws: np.ndarray) -> np.ndarray:
    """A fold for every model: whole blocks in turn, and the draws of what is left over in turn. Their order
    within a block is random.
    """
    models = np.bincount(blocks)
    whole = int((models == models.max()).sum())
    return np.where(blocks < whole // FOLDS * FOLDS, blocks, draws) % FOLDS


def _suffice(masks: np.ndarray, draws: np.ndarray) -> bool:
    """Whether differences of means have honest errors: draws enough, and models on both sides of any unit."""
    with_unit = masks.sum(0)
    return len(np.unique(draws)) >= _FEWEST_DRAWS and np.minimum(with_unit, len(masks) - with_unit).min() >= 2


def _allow(name: str, masks: np.ndarray) -> bool:
    """Whether an estimator can be made from these masks."""
    try:
        estimators.make(name, masks, np.zeros((len(masks), 1)))
    except ConfigError:
        return False
    return True


def average(
    values: np.ndarray, se: np.ndarray, df: np.ndarray, same: np.ndarray | bool = False
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean over folds of estimates [folds, ...], its standard error, and their degrees of freedom
    (Satterthwaite 1946).

    Args:
        df: [folds] or [folds, ...].
        same: bool[...], where the folds chose the same thing for each other. Each fold's report is then also
            what made it choose, so that the two err in the same direction more often than not: their errors
            are taken as one, which is the most they can be.
    """
    df = np.asarray(df, np.float64)
    df = df.reshape(df.shape + (1,) * (np.ndim(values) - df.ndim))
    square = np.square(se, dtype=np.float64)
    total, spread = square.sum(0), (square**2 / df).sum(0)
    least = np.array(np.broadcast_to(df, square.shape).sum(0))
    together = np.divide(total**2, spread, out=least, where=spread > 0)
    error = np.where(same, np.sum(se, 0), np.sqrt(total)) / len(square)
    return np.mean(values, 0), error, together
