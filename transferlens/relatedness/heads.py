"""Linear softmax heads whose loss is Lipschitz with a constant that is known exactly.

The gradient of -log softmax(W z + c)_y in z is W^T (p - e_y), a difference of two distributions over the rows
of W: its norm is at most max_ij |w_i - w_j|, and comes as close to it as one likes. To hold a head to `tau`
is therefore to keep all rows within `tau` of each other, which is a convex problem in (W, c): `constrained`
solves it.
"""

from dataclasses import dataclass

import numpy as np
import scipy

from transferlens.core.errors import NumericalError
from transferlens.relatedness.constrained import Problem, minimised
from transferlens.relatedness.tasks import Sample

# How far, in nats, a head's loss may lie above what is proved to be the least.
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Head:
    """Probabilities softmax(weight z + bias).

    Attributes:
        weight: float64[classes, features], rows centred.
        bias: float64[classes].
    """

    weight: np.ndarray
    bias: np.ndarray

    @property
    def lipschitz(self) -> float:
        """Of the loss -log p_y in z, the largest over classes y."""
        return lipschitz(self.weight)

    def log_probabilities(self, features: np.ndarray) -> np.ndarray:
        """float64[images, classes] of features float64[images, features]."""
        return scipy.special.log_softmax(features @ self.weight.T + self.bias, axis=1)

    def losses(self, sample: Sample) -> np.ndarray:
        """-log p of each image's class, float64[images]."""
        return -self.log_probabilities(sample.features)[np.arange(len(sample.labels)), sample.labels]


def lipschitz(weight: np.ndarray) -> float:
    """max_ij |w_i - w_j| over the rows of weight float64[classes, features]."""
    return float(scipy.spatial.distance.pdist(weight).max())


def fit_head(sample: Sample, classes: int, tau: float | None) -> Head:
    """The head of least mean cross-entropy on the sample among those with Lipschitz constant `tau` at most.

    Without `tau`, a ridge penalty |W|^2 / (2 images) makes the optimum exist where classes can be separated.

    Raises:
        NumericalError: the optimum was not reached within `TOLERANCE`.
    """
    if tau is None:
        return _ridge(sample, classes)
    # Features in units of 1 / tau: the rows are then to be within 1 of each other.
    problem = Problem(sample.features * tau, sample.labels, classes)
    rows, bias, gap = problem.solve(TOLERANCE)
    if gap > TOLERANCE:
        raise NumericalError(
            f"A head of {classes} classes held to tau {tau:g} is {gap:.1e} nats from its optimum, "
            f"not {TOLERANCE:g}: take a smaller tau."
        )
    return Head(rows * tau, bias)


def _ridge(sample: Sample, classes: int) -> Head:
    problem, images = Problem(sample.features, sample.labels, classes), len(sample.labels)

    def penalised(x: np.ndarray) -> tuple[float, np.ndarray]:
        loss, gradient = problem.loss(x)
        weight = x[:-classes]
        gradient[:-classes] += weight / images
        return loss + weight @ weight / (2 * images), gradient

    return Head(*problem.split(minimised(penalised, np.zeros(problem.size), 1e-7)))
