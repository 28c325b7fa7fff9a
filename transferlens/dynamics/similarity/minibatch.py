"""CKA of many rows at once, from the rows of their U-centred Grams on the same batches of images.

A row is a layer of a network: of any model, after any step, or the input itself. Inner products are summed
over batches before their ratio is taken (Nguyen, Raghu and Kornblith 2021): a mean of the batches' ratios
would be biased. So would images drawn with replacement: intervals leave out one batch at a time.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch

from transferlens.core.errors import DataError
from transferlens.core.statistics import jackknife_interval, jackknife_se, permutation_p
from transferlens.dynamics.similarity.arrays import Array
from transferlens.dynamics.similarity.grams import images_of, pair_order

# Below so many batches, intervals from leaving out one at a time are rough.
ADVISED_BATCHES = 16
# Rows [m, pairs] of one batch after the other: an array or tensor [batches, m, pairs], a data set of a file.
Rows = Sequence[Array]


@dataclass(frozen=True)
class Products:
    """Inner products of rows, batch by batch.

    Attributes:
        between: of rows with others, float64[batches, m, m'].
        first: of the rows with themselves, float64[batches, m].
        second: of the others with themselves, float64[batches, m'].
    """

    between: np.ndarray
    first: np.ndarray
    second: np.ndarray

    @classmethod
    def of_all(cls, between: np.ndarray) -> "Products":
        """From products of all rows with all, float64[batches, m, m]."""
        own = np.ascontiguousarray(np.diagonal(between, axis1=1, axis2=2))
        return cls(between, own, own)

    @classmethod
    def joined(cls, parts: Iterable["Products"]) -> "Products":
        """One after the other."""
        pieces = [(part.between, part.first, part.second) for part in parts]
        return cls(*(np.concatenate(each) for each in zip(*pieces, strict=True)))

    @property
    def batches(self) -> int:
        """How many batches there are."""
        return len(self.between)

    @property
    def total(self) -> "Products":
        """Sums over batches, as of one batch; added one by one, so that equal terms give equal sums."""
        return Products(*(reduce(np.add, part)[None] for part in (self.between, self.first, self.second)))

    def without_each(self) -> Iterator["Products"]:
        """All batches but one, for each."""
        for batch in range(self.batches):
            parts = (self.between, self.first, self.second)
            yield Products(*(np.delete(part, batch, axis=0) for part in parts))


@dataclass(frozen=True)
class Estimate:
    """Similarities, standard errors and 95 % intervals for other images, float64 each, of one shape."""

    value: np.ndarray
    se: np.ndarray
    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Null:
    """Similarities beside those with the images of one side in random orders.

    Attributes:
        value: float64[m], as observed.
        draws: float64[draws, m], with permuted images.
        mean, p95: float64[m], of the draws.
        p: float64[m], the share of draws at least as large as what was observed, itself counted.
    """

    value: np.ndarray
    draws: np.ndarray
    mean: np.ndarray
    p95: np.ndarray
    p: np.ndarray


def products(rows: Rows, others: Rows | None = None) -> Products:
    """Of all rows with all of them, or with all others; one matrix product a batch, in float64.

    Rows that are equal to the bit have equal products, and the product of two of them is that of either with
    itself: the similarity of an untouched layer is exactly 1, and its similarities to others do not move.
    Memory is that of the result: for more rows than it can hold, ask block by block.

    Raises:
        DataError: other batches of the others, or other numbers of images in them.
    """
    if others is not None:
        return _stacked(_batch(a, b) for a, b in _batches(rows, others))
    made = _stacked(_batch(a, a) for a, _ in _batches(rows, rows))
    # A product of matrices may round (i, j) and (j, i) apart.
    return Products((made.between + made.between.swapaxes(1, 2)) / 2, made.first, made.second)


def cka(given: Products) -> np.ndarray:
    """Unbiased CKA float64[m, m'] over all batches; may lie below 0, NaN for constant layers."""
    total = given.total
    first, second = (np.where(own > 0, own, np.nan) for own in (total.first[0], total.second[0]))
    return total.between[0] / np.sqrt(first[:, None] * second)


def partial(given: Products, control: int) -> np.ndarray:
    """CKA float64[m, m] of what one of the rows, such as the input's, does not explain of the others.

    What partial correlations are to correlations (Szekely and Rizzo 2014); NaN for the control.

    Args:
        given: products of all rows with all.
        control: the row's place among them.
    """
    whole = cka(given)
    with_control = whole[:, control]
    left = np.sqrt(np.maximum(1 - with_control**2, 0))
    left[left < 1e-6] = np.nan  # what rounding leaves where the control explains all, as of itself
    return (whole - np.outer(with_control, with_control)) / np.outer(left, left)


def jackknife(given: Products, statistic: Callable[[Products], np.ndarray] = cka) -> Estimate:
    """A statistic with its interval for other images, from leaving out one batch at a time.

    Student's t with batches - 1 degrees of freedom. At least 16 batches are advised (`ADVISED_BATCHES`).

    Raises:
        DataError: a single batch, of which no interval can be had.
    """
    if given.batches < 2:
        raise DataError("similarity: no interval from a single batch; at least 2 are needed, 16 are advised")
    value = statistic(given)
    without = np.stack([statistic(rest) for rest in given.without_each()])
    found = jackknife_interval(value, without)
    return Estimate(value, jackknife_se(without), found.low, found.high)


def null(first: Rows, second: Rows, draws: int, rng: np.random.Generator) -> Null:
    """What the CKA of row i of the first with row i of the second would be if no image belonged to another.

    The images of the second change places within each batch, in the same way for all its rows. One
    batch is held in memory at a time.

    Args:
        first, second: [batches, m, pairs] each.
    """
    sums = reduce(np.add, (_paired(a, b, draws, rng) for a, b in _batches(first, second)))
    own_first, own_second = (np.where(own > 0, own, np.nan) for own in sums[:2])
    value, *permuted = sums[2:] / np.sqrt(own_first * own_second)
    p = np.where(np.isnan(value), np.nan, permutation_p(value, np.stack(permuted)))
    return Null(value, np.stack(permuted), np.mean(permuted, axis=0), np.quantile(permuted, 0.95, axis=0), p)


def excess(value: np.ndarray, null_mean: np.ndarray) -> np.ndarray:
    """Similarity beyond the null's, as a share of what there could be: 0 at the null's mean, 1 at 1."""
    return (value - null_mean) / (1 - null_mean)


def _batches(rows: Rows, others: Rows) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows float64[m, pairs] and others float64[m', pairs] of one batch after the other."""
    if not 0 < len(rows) == len(others):
        raise DataError(
            f"similarity: rows of {len(rows)} batches beside {len(others)}; they must be the same"
        )
    for first, second in zip(map(_array, rows), map(_array, others), strict=True):
        if first.shape[1] != second.shape[1]:
            images = " and ".join(str(images_of(each.shape[1])) for each in (first, second))
            raise DataError(f"similarity: batches of {images} images; they must be of the same images")
        yield first, second


def _stacked(batches: Iterable[tuple[np.ndarray, np.ndarray, np.ndarray]]) -> Products:
    return Products(*(np.stack(part) for part in zip(*batches, strict=True)))


def _array(rows: Array) -> np.ndarray:
    if isinstance(rows, torch.Tensor):
        rows = rows.cpu()
    return np.ascontiguousarray(rows, dtype=np.float64)


def _inner(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Inner products float64[m] of row i with row i; the same bits whatever other rows there are."""
    return (first * second).sum(1)


def _batch(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Products [m, m'] of rows with others, and of each with themselves, [m] and [m']."""
    own = _inner(rows, rows)
    (kinds, place, kind), (other_kinds, other_place, other_kind) = _distinct(rows), _distinct(others)
    between = (torch.from_numpy(rows[place]) @ torch.from_numpy(others[other_place]).T).numpy()
    _, i, j = np.intersect1d(kinds, other_kinds, assume_unique=True, return_indices=True)
    between[i, j] = own[place[i]]
    return between[kind][:, other_kind], own, _inner(others, others)


def _distinct(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The bits of the distinct rows of [m, pairs], where each stands first, and which of them each row is."""
    bits = rows.view(f"V{rows.itemsize * rows.shape[1]}")[:, 0]
    return np.unique(bits, return_index=True, return_inverse=True)


def _paired(first: np.ndarray, second: np.ndarray, draws: int, rng: np.random.Generator) -> np.ndarray:
    """Products of a batch's m pairs of rows, [3 + draws, m]: of each with itself, of both, in each draw."""
    images = images_of(first.shape[1])
    orders = (pair_order(torch.from_numpy(rng.permutation(images))).numpy() for _ in range(draws))
    shown = [_inner(first, second[:, order]) for order in orders]
    return np.stack([_inner(first, first), _inner(second, second), _inner(first, second), *shown])
