"""Orders of removal, and the rows of a counterfactual study."""

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
                f"config: studies.counterfactual.ks contains {k}, but the source has {classes} classes; "
                f"remove at most {classes}"
            )


def row_meaning(orders: list[str], ks: list[int], row: int) -> tuple[int, str, int]:
    """(repeat, order, k) of a row: repeat by repeat, so that more repeats only append rows."""
    repeat, cell = divmod(row, len(orders) * len(ks))
    return repeat, orders[cell // len(ks)], ks[cell % len(ks)]


def counterfactual_rows(
    effect: np.ndarray,
    classes: list[str],
    orders: list[str],
    ks: list[int],
    rows: range,
    seed: int,
) -> Rows:
    """Rows of a counterfactual study: all classes but the first k of an order.

    Each repeat shares its training seed with the full-source model of that repeat.
    """
    table = [row_meaning(orders, ks, row) for row in rows]
    masks = np.ones((len(rows), len(classes)), bool)
    for mask, (repeat, order, k) in zip(masks, table, strict=True):
        mask[removal_order(order, effect, seed, repeat)[:k]] = False
    return Rows(
        masks,
        np.array(rows),
        np.array([repeat_seed(seed, repeat) for repeat, _, _ in table]),
        [f"{order}-{k}-{repeat}" for repeat, order, k in table],
        classes,
    )
