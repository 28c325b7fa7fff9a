"""What every model sees in the probe examples, cell by cell, and the influences on it."""

from dataclasses import dataclass

import numpy as np

from transferlens.estimation.estimators import Effects, Estimator


@dataclass(frozen=True)
class Probed:
    """What every model sees in the probe examples of one or several target classes.

    Attributes:
        maps: float[models, examples, h, w], signed evidence for the true class, without the bias.
        bias: float[models, examples], of the true class.
        labels: int64[examples], ascending.
    """

    maps: np.ndarray
    bias: np.ndarray
    labels: np.ndarray

    @property
    def logit_maps(self) -> np.ndarray:
        """The maps with the bias in every cell: means over cells are logits."""
        return self.maps + self.bias[..., None, None]

    def by_class(self) -> "Probed":
        """Each model's mean map of every class that has examples."""
        classes, starts, counts = np.unique(self.labels, return_index=True, return_counts=True)
        sums = np.add.reduceat(self.maps, starts, axis=1, dtype=np.float64)
        return Probed(sums / counts[:, None, None], self.bias[:, starts], classes)

    def first(self) -> "Probed":
        """What is seen in the first example."""
        return Probed(self.maps[:, :1], self.bias[:, :1], self.labels[:1])


def cell_effects(fitted: Estimator, maps: np.ndarray) -> Effects:
    """Effects on the cells of maps [models, outputs, h, w]: [outputs * h * w, units]."""
    return fitted.effects(maps.reshape(len(maps), -1))
