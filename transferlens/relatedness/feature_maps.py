"""Feature maps z -> A z + b that bring matched images of reference and target closer to each other.

All lower F(A, b) = lipschitz(A) * sum of mass * |A z + b - t| over the pairs (z, t) that a transport plan
matches. A plan stays feasible when the map changes, so F is never below the true value: what lowers F lowers
the bound.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy

# Of the mean distance: closer pairs weigh as much as if they were that far apart.
_CLOSEST = 1e-9
_DESCENT = 15  # iterations of L-BFGS for one plan
_PIECE = 1 << 12  # pairs whose features are looked at together


@dataclass(frozen=True)
class Matched:
    """What a transport plan moves where.

    Attributes:
        reference: float64[n_R, d], features before the map.
        target: float64[n_T, d].
        rows, columns: int64[pairs], which image of the reference goes to which of the target.
        mass: float64[pairs], adding up to 1.
    """

    reference: np.ndarray
    target: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    mass: np.ndarray

    def lengths(self, moved: np.ndarray) -> np.ndarray:
        """Distances float64[pairs] of the partners, images of the reference moved to float64[n_R, d]."""
        pieces = [slice(start, start + _PIECE) for start in range(0, len(self.mass), _PIECE)]
        rests = (moved[self.rows[p]] - self.target[self.columns[p]] for p in pieces)
        return np.concatenate([np.linalg.norm(rest, axis=1) for rest in rests])

    def pulls(self, weights: np.ndarray) -> scipy.sparse.csr_array:
        """Weights float64[pairs] as a matrix [n_R, n_T]."""
        shape = len(self.reference), len(self.target)
        return scipy.sparse.csr_array((weights, (self.rows, self.columns)), shape=shape)


# A and b; and what makes better ones of plans, the head's weight, and A and b before.
Map = tuple[np.ndarray, np.ndarray]
FeatureMap = Callable[[Matched, np.ndarray, np.ndarray, np.ndarray], Map]


def orthogonal(matched: Matched, weight: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> Map:
    """An orthogonal A and b that lower F, in closed form: lipschitz(A) is that of the head for all of them.

    Weiszfeld's majorisation |r| <= |r|^2 / (2 |r_0|) + |r_0| / 2, with r_0 the rest under the map before,
    makes it the weighted problem of Procrustes, which a singular value decomposition solves (Schönemann
    1966).
    """
    lengths = matched.lengths(matched.reference @ matrix.T + shift)
    weights = matched.mass / np.maximum(lengths, _CLOSEST * max(lengths.mean(), 1e-300))
    pulls = matched.pulls(weights / weights.sum())
    from_mean, to_mean = pulls.sum(1) @ matched.reference, pulls.sum(0) @ matched.target
    products = matched.target.T @ (pulls.T @ matched.reference) - np.outer(to_mean, from_mean)
    turn = _turn(products)
    return turn, to_mean - turn @ from_mean


def _turn(products: np.ndarray) -> np.ndarray:
    """U V' of the singular value decomposition of float64[d, d].

    LAPACK's quick way (gesdd) does not end on some matrices of low rank; the slow one does.
    """
    try:
        left, _, right = np.linalg.svd(products)
    except np.linalg.LinAlgError:
        left, _, right = scipy.linalg.svd(products, lapack_driver="gesvd")
    return left @ right


def affine(matched: Matched, weight: np.ndarray, matrix: np.ndarray, shift: np.ndarray) -> Map:
    """Any A and b that lower F, by a few steps of L-BFGS from the map before.

    Args:
        weight: float64[K_R, d] of the reference's head; lipschitz(A) is that of weight A^-1.
    """
    d = len(shift)

    def product(x: np.ndarray) -> tuple[float, np.ndarray]:
        matrix, shift = x[:-d].reshape(d, d), x[-d:]
        constant, slope = lipschitz_and_slope(weight, matrix)
        moved = matched.reference @ matrix.T + shift
        lengths = matched.lengths(moved)
        distance = matched.mass @ lengths
        pulls = matched.pulls(matched.mass / np.maximum(lengths, 1e-300))
        slope_of_moved = pulls.sum(1)[:, None] * moved - pulls @ matched.target
        by_matrix = distance * slope + constant * slope_of_moved.T @ matched.reference
        return constant * distance, np.append(by_matrix, constant * slope_of_moved.sum(0))

    start = np.concatenate([matrix.ravel(), shift])
    options = {"maxiter": _DESCENT, "gtol": 1e-9}
    x = scipy.optimize.minimize(product, start, jac=True, method="L-BFGS-B", options=options).x
    return x[:-d].reshape(d, d), x[-d:]


def lipschitz_and_slope(weight: np.ndarray, matrix: np.ndarray) -> tuple[float, np.ndarray]:
    """max_ij |A^-T (w_i - w_j)| and its derivative in A float64[d, d], by the pair that makes it."""
    moved = np.linalg.solve(matrix.T, weight.T).T
    i, j = np.triu_indices(len(weight), 1)
    worst = scipy.spatial.distance.pdist(moved).argmax()
    v = moved[i[worst]] - moved[j[worst]]
    constant = np.linalg.norm(v)
    return constant, -np.outer(v, np.linalg.solve(matrix, v)) / constant


# Nothing is learned of the identity.
FEATURE_MAPS: dict[str, FeatureMap | None] = {"identity": None, "orthogonal": orthogonal, "affine": affine}
