"""Transforms of a reference task: another class prior, other labels, other features."""

from dataclasses import dataclass

import numpy as np

from transferlens.core.errors import NumericalError
from transferlens.relatedness.heads import Head, lipschitz

_INVERSE = 1e-6  # what A^-1 A may differ from the identity by


@dataclass(frozen=True)
class Transform:
    """What is done to the reference, in this order.

    Attributes:
        prior: D float64[K_R], frequencies of the reference classes; not where `label_map` makes no class of
            them.
        label_map: B float64[K_T, K_R], columns sum to 1.
        matrix: A float64[d, d], invertible.
        shift: b float64[d]; features z become A z + b.
    """

    prior: np.ndarray
    label_map: np.ndarray
    matrix: np.ndarray
    shift: np.ndarray

    @property
    def target_prior(self) -> np.ndarray:
        """B D float64[K_T], the frequencies of the classes after the transform."""
        return self.label_map @ self.prior

    def moved(self, features: np.ndarray) -> np.ndarray:
        """A z + b of features z float64[images, d]."""
        return features @ self.matrix.T + self.shift

    def class_weights(self, labels: np.ndarray) -> np.ndarray:
        """How much each reference image counts in each target class, float64[K_T, images]; rows sum to 1."""
        per_image = self.label_map * self.prior / np.bincount(labels, minlength=len(self.prior))
        weights = per_image[:, labels]
        return weights / weights.sum(1, keepdims=True)

    def head(self, head: Head) -> "TransformedHead":
        """The reference's head after the transform: B softmax(W A^-1 (z - b) + c)."""
        try:
            weight = np.linalg.solve(self.matrix.T, head.weight.T).T
        except np.linalg.LinAlgError:
            raise NumericalError("The feature map is not invertible: it is singular.") from None
        # What is left shows whether A is invertible in this arithmetic.
        residual = np.abs(weight @ self.matrix - head.weight).max()
        if not residual <= _INVERSE * np.abs(head.weight).max():
            raise NumericalError(
                f"The feature map is not invertible: its inverse is wrong by {residual:.1e}."
            )
        return TransformedHead(Head(weight, head.bias - weight @ self.shift), self.label_map)


@dataclass(frozen=True)
class TransformedHead:
    """Probabilities B softmax(weight z + bias) of the target's classes.

    Attributes:
        inner: the softmax head of the reference's classes, of features after the transform.
        label_map: B float64[K_T, K_R].
    """

    inner: Head
    label_map: np.ndarray

    @property
    def lipschitz(self) -> float:
        """Of -log p_y in z, for every y: max_ij |A^-T (w_i - w_j)|, whatever the label map."""
        return lipschitz(self.inner.weight)

    def losses(self, features: np.ndarray) -> np.ndarray:
        """-log p of each class for each image, float64[images, K_T]."""
        return mixed_losses(self.inner.log_probabilities(features), self.label_map)


def mixed_losses(log_probabilities: np.ndarray, label_map: np.ndarray) -> np.ndarray:
    """-log (B p), float64[images, K_T], of log p float64[images, K_R]."""
    top = log_probabilities.max(1, keepdims=True)
    with np.errstate(divide="ignore"):  # a class of no probability has infinite loss
        return -(np.log(np.exp(log_probabilities - top) @ label_map.T) + top)
