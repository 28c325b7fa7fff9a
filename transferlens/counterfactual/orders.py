"""Orders of removal, and the rows of a counterfactual study."""

from itertools import product

import numpy as np

from transferlens.errors import ConfigError
from transferlens.seeding import rng_for
from transferlens.studies import Rows, repeat_seed


def removal_order(order: str, effect: np.ndarray, seed: int, repeat: int) -> np.ndarray:
    """Class indices int64[classes], first removed first, from influences float[classes].

    `top` removes the most helpful first, `bottom` the most harmful first, `random` in an order drawn for the
    repeat.
    """
    if order == "random":
        return rng_for(seed, "removal order", repeat).permutation(len(effect))
    ascending = np.argsort(effect, kind="stable")
    return ascending if order == "bottom" else ascending[::-1]


def check_ks(ks: list[int], classes: int) -> None:
    """Refuse to remove more classes than there are.

    Raises:
        ConfigError: naming the first impossible k.
    """
    for k in ks:
        if k > classes:
            raise ConfigError(
                f"config: studies.counterfactual.ks contains {k}, but the source has {classes} classes; remove "
                f"at most {classes}"
            )


def study_rows(orders: list[str], ks: list[int], repeats: int) -> list[tuple[int, str, int]]:
    """(repeat, order, k) of every row: repeat by repeat, so that more repeats only append rows."""
    return list(product(range(repeats), orders, ks))


def counterfactual_rows(
    effect: np.ndarray,
    classes: list[str],
    orders: list[str],
    ks: list[int],
    repeats: int,
    rows: range,
    seed: int,
) -> Rows:
    """Rows of a counterfactual study: all classes but the first k of an order.

    Each repeat shares its training seed with the full-source model of that repeat.
    """
    table = study_rows(orders, ks, repeats)
    masks = np.ones((len(rows), len(classes)), bool)
    for mask, row in zip(masks, rows, strict=True):
        repeat, order, k = table[row]
        mask[removal_order(order, effect, seed, repeat)[:k]] = False
    return Rows(
        masks,
        np.array(rows),
        np.array([repeat_seed(seed, table[row][0]) for row in rows]),
        ["{1}-{2}-{0}".format(*table[row]) for row in rows],
        classes,
    )
