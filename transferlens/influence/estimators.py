"""Estimators of class influence, with standard errors over models.

The influence of source class c on an output f of a target example is the mean of f over the models that saw
c minus its mean over those that did not (Jain et al. 2022, Algorithm 1). Models are the independent units:
every standard error here is over them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np

from transferlens.errors import DataError
from transferlens.statistics import two_sided_p

# A block of outputs in memory: at most this many models by this many examples.
_MODELS_A_BLOCK, _EXAMPLES_A_BLOCK = 2048, 8192
# A piece of effects in bytes: the arithmetic on it stays in the processor's cache.
_PIECE_BYTES = 1 << 20


@dataclass(frozen=True)
class Effects:
    """Influences of the classes on some outputs, all float32 or float64[outputs, classes].

    Attributes:
        effect: mean with the class minus mean without.
        se: its standard error, sqrt(s_in^2 / n_in + s_out^2 / n_out), variances unpooled.
        df: Welch-Satterthwaite degrees of freedom (None where not asked for).
    """

    effect: np.ndarray
    se: np.ndarray
    df: np.ndarray | None = None

    def p(self) -> np.ndarray:
        """Two-sided p-values of a zero effect."""
        return two_sided_p(self.effect, self.se, self.df)


def check_masks(masks: np.ndarray, class_names: list[str]) -> None:
    """Refuse masks bool[models, classes] from which some class's influence cannot be estimated.

    Raises:
        DataError: a class with fewer than two models on either side.
    """
    present = masks.sum(0)
    scarce = np.minimum(present, len(masks) - present)
    if scarce.min() < 2:
        worst = int(scarce.argmin())
        raise DataError(
            f"influence of '{class_names[worst]}' cannot be estimated: {present[worst]} of {len(masks)} "
            "models saw it, at least two must have seen it and two not; raise studies.influence.models"
        )


def difference_of_means(masks: np.ndarray, outputs: np.ndarray) -> Effects:
    """Influences from masks bool[models, classes] and outputs [models, outputs], with degrees of freedom."""
    moments = _Moments(masks)
    moments.add(slice(0, len(masks)), outputs)
    return moments.effects(with_df=True)


def blockwise(masks: np.ndarray, outputs: h5py.Dataset) -> Iterator[tuple[slice, Effects]]:
    """`difference_of_means` of a stored output [models, examples], a piece of the examples at a time.

    Memory is bounded by the block, whatever the number of models and examples. Yields slices of
    `examples_a_piece` examples (the last may be shorter) and their effects, without degrees of freedom.
    """
    models, examples = outputs.shape
    piece = examples_a_piece(masks.shape[1])
    for start in range(0, examples, _EXAMPLES_A_BLOCK):
        stop = min(start + _EXAMPLES_A_BLOCK, examples)
        moments = _Moments(masks)
        for first in range(0, models, _MODELS_A_BLOCK):
            part = slice(first, min(first + _MODELS_A_BLOCK, models))
            moments.add(part, outputs[part, start:stop])
        for low in range(start, stop, piece):
            high = min(low + piece, stop)
            yield slice(low, high), moments.effects(slice(low - start, high - start))


def examples_a_piece(classes: int) -> int:
    """How many examples' effects fill about a megabyte: a power of two, so that blocks divide into them."""
    fitting = max(1, _PIECE_BYTES // (4 * classes))
    return min(1 << (fitting.bit_length() - 1), _EXAMPLES_A_BLOCK)


def at_hand(outputs: h5py.Dataset) -> h5py.Dataset | np.ndarray:
    """A stored output in memory if it is a single block, so that it is read only once; else as it is."""
    models, examples = outputs.shape
    return outputs[:] if models <= _MODELS_A_BLOCK and examples <= _EXAMPLES_A_BLOCK else outputs


class _Moments:
    """Sums and sums of squares of outputs over the models that saw each class, and over all models.

    Outputs are shifted by their mean over the first block, so that squares do not cancel in float32; neither
    effects nor variances depend on the shift.
    """

    def __init__(self, masks: np.ndarray):
        self.masks = masks.astype(np.float32)
        self.n_in = masks.sum(0).astype(np.float32)
        self.n_out = len(masks) - self.n_in
        self.shift = self.sum_in = self.sum_all = self.square_in = self.square_all = None

    def add(self, part: slice, outputs: np.ndarray) -> None:
        """Add the outputs [models of the part, outputs]."""
        if self.shift is None:
            self.shift = outputs.mean(0, dtype=np.float64).astype(np.float32)
        masks = self.masks[part]
        outputs = (outputs - self.shift).astype(np.float32, copy=False)
        self.sum_in = _plus(self.sum_in, outputs.T @ masks)
        self.sum_all = _plus(self.sum_all, outputs.sum(0, dtype=np.float64))
        np.square(outputs, out=outputs)
        self.square_in = _plus(self.square_in, outputs.T @ masks)
        self.square_all = _plus(self.square_all, outputs.sum(0, dtype=np.float64))

    def effects(self, outputs: slice = slice(None), with_df: bool = False) -> Effects:
        """Effects on some of the outputs (all by default)."""
        sum_in, square_in = self.sum_in[outputs], self.square_in[outputs]
        sum_out = self.sum_all[outputs, None].astype(np.float32) - sum_in
        square_out = self.square_all[outputs, None].astype(np.float32) - square_in
        effect, mean_out = sum_in / self.n_in, sum_out / self.n_out
        error_in = _squared_error(sum_in, effect, square_in, self.n_in)
        error_out = _squared_error(sum_out, mean_out, square_out, self.n_out)
        effect -= mean_out
        se = np.sqrt(error_in + error_out)
        df = _degrees_of_freedom(se, error_in, error_out, self.n_in, self.n_out) if with_df else None
        return Effects(effect, se, df)


def _plus(total: np.ndarray | None, more: np.ndarray) -> np.ndarray:
    """Their sum in the place of `total`; a first `more` is taken as it is."""
    return more if total is None else np.add(total, more, out=total)


def _squared_error(total: np.ndarray, mean: np.ndarray, square: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Squared standard error of the mean of n outputs, from their sum, mean and sum of squares."""
    error = total * mean
    np.subtract(square, error, out=error)
    error /= n * (n - 1)
    return np.maximum(error, 0, out=error)  # rounding may take a zero variance below zero


def _degrees_of_freedom(se, error_in, error_out, n_in, n_out) -> np.ndarray:
    """Welch-Satterthwaite; those of pooled variances where the outputs are constant."""
    spread = error_in**2 / (n_in - 1) + error_out**2 / (n_out - 1)
    pooled = np.broadcast_to(n_in + n_out - 2, spread.shape).astype(np.float32)
    return np.divide(se**4, spread, out=pooled, where=spread > 0)


def model_means(
    outputs: h5py.Dataset, labels: np.ndarray, halves: np.ndarray, classes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Each model's mean output, by half and target class and by half alone.

    Aggregates are formed per model first: target examples share their models, so the errors of their
    influences are not independent and cannot be averaged.

    Returns:
        float64[models, halves, target classes] and float64[models, halves].
    """
    groups = halves.astype(int) * classes + labels
    counts = np.bincount(groups, minlength=2 * classes)
    indicator = np.zeros((len(labels), 2 * classes), np.float32)
    indicator[np.arange(len(labels)), groups] = 1
    sums = np.zeros((outputs.shape[0], 2 * classes))
    for first in range(0, outputs.shape[0], _MODELS_A_BLOCK):
        part = slice(first, first + _MODELS_A_BLOCK)
        for start in range(0, len(labels), _EXAMPLES_A_BLOCK):
            block = slice(start, start + _EXAMPLES_A_BLOCK)
            sums[part] += outputs[part, block].astype(np.float32, copy=False) @ indicator[block]
    by_class = (sums / counts).reshape(-1, 2, classes)
    overall = sums.reshape(-1, 2, classes).sum(2) / counts.reshape(2, classes).sum(1)
    return by_class, overall
