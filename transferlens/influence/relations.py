"""Do source classes that resemble the target class help it more? A check with a known expectation.

Pairs of a target class and a source class are `same` (equal names), `related` (same group, other class) or
`unrelated` (another group). How much one class of each kind adds is estimated by a regression of the models'
mean outputs on the number of classes of each kind that they saw. For additive effects this estimates the mean
influence of a kind, with less noise than averaging differences of means: those also carry the chance
differences in how many classes of the other kinds the models saw.
"""

from itertools import pairwise

import numpy as np

from transferlens.core.statistics import Interval, jackknife_interval
from transferlens.estimation.estimators import sums_by_draw

RELATIONS = ("same", "related", "unrelated")


def relation_members(
    target_names: list[str], target_groups: list[str], source_names: list[str], source_groups: list[str]
) -> dict[str, np.ndarray]:
    """bool[target classes, source classes] for every kind of pair that occurs."""
    same = np.array([[t == s for s in source_names] for t in target_names])
    known = np.array([[bool(t and s) for s in source_groups] for t in target_groups])
    group = np.array([[t == s for s in source_groups] for t in target_groups])
    members = {"same": same, "related": ~same & known & group, "unrelated": ~same & known & ~group}
    return {name: pairs for name, pairs in members.items() if pairs.any()}


def compared_names(members: dict[str, np.ndarray]) -> list[str]:
    """The relations that occur, then the difference of each to the next weaker one."""
    present = [r for r in RELATIONS if r in members]
    return present + [f"{stronger} - {weaker}" for stronger, weaker in pairwise(present)]


def compare_relations(
    masks: np.ndarray, means: np.ndarray, members: dict[str, np.ndarray], draws: np.ndarray
) -> dict[str, Interval]:
    """What one seen class of each relation adds, and the difference of each to the next weaker one.

    Args:
        masks: bool[models, source classes].
        means: float64[models, target classes], each model's mean output on each target class.
        members: as `relation_members` returns.
        draws: int64[models], the independent draw of masks that each model belongs to; ascending.

    Returns:
        Estimates with 95 % intervals from a jackknife over draws. With fixed-size masks only the differences
        are identified; the single values then sum to zero.
    """
    present = [r for r in RELATIONS if r in members]
    if not present:
        return {}
    seen = masks.astype(np.float64)
    counts = np.stack([seen @ members[r].T for r in present], axis=2)  # [models, target classes, relations]
    slopes, without = _pooled_slopes(counts, means, draws)
    estimates = {name: jackknife_interval(slopes[i], without[:, i]) for i, name in enumerate(present)}
    for (i, stronger), (j, weaker) in pairwise(enumerate(present)):
        estimates[f"{stronger} - {weaker}"] = jackknife_interval(
            slopes[i] - slopes[j], without[:, i] - without[:, j]
        )
    return estimates


def _pooled_slopes(counts: np.ndarray, means: np.ndarray, draws: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Least-squares slopes common to all target classes, with an intercept for each.

    Returns:
        float64[relations] from all models, and float64[draws, relations] leaving each draw out.
    """
    x, y = counts - counts.mean(0), means - means.mean(0)
    squares = sums_by_draw(np.einsum("mtr,mts->mrs", x, x), draws)
    products = sums_by_draw(np.einsum("mtr,mt->mr", x, y), draws)
    x_sums, y_sums = sums_by_draw(x, draws), sums_by_draw(y, draws)
    left = len(x) - sums_by_draw(np.ones(len(x)), draws)  # models without the draw
    normal, moment = squares.sum(0), products.sum(0)
    # Without a draw the centre moves, too: sums about it lose another (sum over the draw)^2 / models left.
    normals = normal - squares - np.einsum("dtr,dts->drs", x_sums, x_sums) / left[:, None, None]
    moments = moment - products - np.einsum("dtr,dt->dr", x_sums, y_sums) / left[:, None]
    slopes = np.linalg.pinv(normal, hermitian=True) @ moment
    return slopes, np.einsum("drs,ds->dr", np.linalg.pinv(normals, hermitian=True), moments)
