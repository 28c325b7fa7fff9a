"""Estimators of class influence, with standard errors over models.

The influence of source class c on an output f of a target example is the mean of f over the models that saw
c minus its mean over those that did not (Jain et al. 2022, Algorithm 1). Models are the independent units:
every standard error here is over them.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import h5py
import numpy as np
from scipy import stats

from transferlens.errors import DataError

# A block of outputs in memory: at most this many models by this many examples.
_MODELS_A_BLOCK, _EXAMPLES_A_BLOCK = 2048, 8192


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
        # Constant outputs have no error; their effect of exactly 0 is no evidence.
        t = np.divide(self.effect, self.se, out=np.zeros_like(self.effect), where=self.se > 0)
        return 2 * stats.t.sf(np.abs(t), self.df)


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
    """`difference_of_means` of a stored output [models, examples], a block of examples at a time.

    Memory is bounded by the block, whatever the number of models and examples. Yields the slice of examples
    and their effects (without degrees of freedom).
    """
    models, examples = outputs.shape
    for start in range(0, examples, _EXAMPLES_A_BLOCK):
        block = slice(start, min(start + _EXAMPLES_A_BLOCK, examples))
        moments = _Moments(masks)
        for first in range(0, models, _MODELS_A_BLOCK):
            part = slice(first, min(first + _MODELS_A_BLOCK, models))
            moments.add(part, outputs[part, block])
        yield block, moments.effects()


class _Moments:
    """Sums and sums of squares of outputs over the models that saw each class, and over all models.

    Outputs are shifted by their mean over the first block, so that squares do not cancel in float32; neither
    effects nor variances depend on the shift.
    """

    def __init__(self, masks: np.ndarray):
        self.masks = masks.astype(np.float32)
        self.n_in = masks.sum(0).astype(np.float64)
        self.n_out = len(masks) - self.n_in
        self.shift: np.ndarray | None = None

    def add(self, part: slice, outputs: np.ndarray) -> None:
        """Add the outputs [models of the part, outputs]."""
        outputs = outputs.astype(np.float32)
        if self.shift is None:
            self.shift = outputs.mean(0)
            self.sum_in = self.square_in = self.sum_all = self.square_all = 0
        masks = self.masks[part]
        outputs -= self.shift
        self.sum_in = self.sum_in + outputs.T @ masks
        self.sum_all = self.sum_all + outputs.sum(0, dtype=np.float64)
        np.square(outputs, out=outputs)
        self.square_in = self.square_in + outputs.T @ masks
        self.square_all = self.square_all + outputs.sum(0, dtype=np.float64)

    def effects(self, with_df: bool = False) -> Effects:
        total = self.sum_all[:, None].astype(np.float32)
        total_square = self.square_all[:, None].astype(np.float32)
        n_in, n_out = self.n_in.astype(np.float32), self.n_out.astype(np.float32)
        mean_in, mean_out = self.sum_in / n_in, (total - self.sum_in) / n_out
        # Squared standard errors of the two means; rounding may take a zero variance below zero.
        error_in = (self.square_in / n_in - mean_in**2) / (n_in - 1)
        error_out = ((total_square - self.square_in) / n_out - mean_out**2) / (n_out - 1)
        np.maximum(error_in, 0, out=error_in)
        np.maximum(error_out, 0, out=error_out)
        se = np.sqrt(error_in + error_out)
        df = None
        if with_df:
            spread = error_in**2 / (n_in - 1) + error_out**2 / (n_out - 1)
            pooled = np.broadcast_to(n_in + n_out - 2, spread.shape)
            df = np.divide(se**4, spread, out=pooled.astype(np.float32), where=spread > 0)
        return Effects(mean_in - mean_out, se, df)


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
            sums[part] += outputs[part, block].astype(np.float32) @ indicator[block]
    by_class = (sums / counts).reshape(-1, 2, classes)
    overall = sums.reshape(-1, 2, classes).sum(2) / counts.reshape(2, classes).sum(1)
    return by_class, overall
