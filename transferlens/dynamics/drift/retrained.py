"""The drift of models whose source lacked classes, beside that of models of the whole source.

Repeat r of every removal started from the same weights and seed as the whole source's repeat r: differences
are taken repeat by repeat.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from transferlens.core.errors import ArtefactError
from transferlens.core.statistics import Interval, mean_interval
from transferlens.core.studies import FULL
from transferlens.dynamics.drift.read import Drifts


@dataclass(frozen=True)
class Retrained:
    """Means over repeats with their intervals.

    Attributes:
        ranked_by: the recipe by whose influences classes were ranked.
        orders, ks: how removed classes were chosen, and how many.
        full: of the whole source's models, [domains, layers, steps].
        drift: of every kind of removal, [orders, ks, domains, layers, steps].
        change: of its difference to the whole source's, likewise.
        repeats: how many.
    """

    ranked_by: str
    orders: Sequence[str]
    ks: Sequence[int]
    full: Interval
    drift: Interval
    change: Interval
    repeats: int


def compare(
    reference: Drifts, removals: Drifts, ranked_by: str, orders: Sequence[str], ks: Sequence[int]
) -> Retrained:
    """Curves of removals by order and number of classes, and what they change.

    Args:
        reference: the study `reference`.
        removals: of which rows of other kinds than these orders are left out.

    Raises:
        ArtefactError: a repeat that is not paired with a model of the whole source.
    """
    rows = removals.rows
    repeats = int(rows.repeats.max()) + 1
    whole = reference.rows.of_role(FULL)[:repeats]
    _require_pairs(reference, removals, whole)
    full = reference.drift[whole]
    drift = np.full((len(orders), len(ks), *full.shape), np.nan)
    for row in range(len(rows)):
        if rows.removed_by[row] in orders:
            order, k = orders.index(rows.removed_by[row]), ks.index(int(rows.removed[row]))
            drift[order, k, rows.repeats[row]] = removals.drift[row]
    means = _over_repeats(full, 0), _over_repeats(drift, 2), _over_repeats(drift - full, 2)
    return Retrained(ranked_by, orders, ks, *means, repeats)


def _require_pairs(reference: Drifts, removals: Drifts, whole: np.ndarray) -> None:
    """Refuse repeats that began with another seed than the whole source's."""
    repeats, own_seeds = reference.rows.repeats[whole], reference.rows.training_seeds[whole]
    seeds = dict(zip(repeats.tolist(), own_seeds, strict=True))
    for repeat, seed in zip(removals.rows.repeats.tolist(), removals.rows.training_seeds, strict=True):
        if seeds.get(repeat) != seed:
            raise ArtefactError(
                f"drift of retrained models: repeat {repeat} has no model of the whole source that began "
                "with its seed; delete the drift of studies reference and counterfactual, and run snakemake "
                "again"
            )


def _over_repeats(values: np.ndarray, axis: int) -> Interval:
    """Means over an axis; they stay in place of the others."""
    return mean_interval(np.moveaxis(values, axis, -1))
