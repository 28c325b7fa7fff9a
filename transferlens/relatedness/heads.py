"""Linear softmax heads whose loss is Lipschitz with a known constant."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Head:
    """Probabilities softmax(weight z + bias).

    Attributes:
        weight: float64[classes, features].
        bias: float64[classes].
        lipschitz: of the loss -log p_y in z, the largest over classes y.
    """

    weight: np.ndarray
    bias: np.ndarray
    lipschitz: float
