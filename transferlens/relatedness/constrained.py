"""Least cross-entropy of a linear head whose rows lie within 1 of each other.

An augmented Lagrangian (Nocedal and Wright, Numerical Optimization, 2006, chapter 17) with L-BFGS inside. Its
multipliers also prove, by weak duality, how small the loss can be at all: the distance to that tells when it
    is done.
"""

from collections.abc import Callable
from functools import partial

import numpy as np
import scipy

_ROUNDS = 25  # of multipliers; four to ten suffice
_TIGHTER = 3  # penalty and precision from one round to the next


def minimised(function: Callable, start: np.ndarray, gradient: float) -> np.ndarray:
    """L-BFGS from `start` until no entry of the gradient is larger than `gradient`."""
    options = {"maxiter": 10_000, "maxfun": 10_000, "gtol": gradient, "ftol": 0}
    return scipy.optimize.minimize(function, start, jac=True, method="L-BFGS-B", options=options).x


class Problem:
    """Cross-entropy of rows V and biases c, held as one vector x, with |v_i - v_j| <= 1 for all pairs of
    rows.

    Multipliers are float64[classes, classes], symmetric: every pair stands twice in them.
    """

    def __init__(self, features: np.ndarray, labels: np.ndarray, classes: int) -> None:
        self.features, self.labels, self.classes = features, labels, classes
        self.size = classes * (features.shape[1] + 1)
        self._own = np.arange(len(labels)), labels

    def split(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centred rows float64[classes, features] and biases float64[classes]: the same probabilities."""
        rows, bias = x[: -self.classes].reshape(self.classes, -1), x[-self.classes :]
        return rows - rows.mean(0), bias - bias.mean()

    def solve(self, tolerance: float) -> tuple[np.ndarray, np.ndarray, float]:
        """Feasible rows and biases, and how far above the least their loss is, at most."""
        x, multipliers, excess = np.zeros(self.size), np.zeros((self.classes, self.classes)), np.inf
        firm, precise = 100.0, 0.03
        for _ in range(_ROUNDS):
            # At the optimum multipliers pull rows of norm sqrt(classes / 2) as hard as the loss does.
            slope = np.abs(self.loss(x)[1][: -self.classes])
            penalty = firm * np.linalg.norm(slope) / (self.classes * np.sqrt(self.classes / 2))
            x = minimised(partial(self._augmented, multipliers, penalty), x, precise * slope.max())
            x = self._balanced(x)
            before, excess = excess, self._excess(x).max()
            multipliers = np.maximum(0, multipliers + penalty * self._excess(x))
            gap = self._gap(x, multipliers)
            if gap < tolerance:
                break
            firm *= _TIGHTER if excess > before / 4 else 1
            precise /= _TIGHTER
        return *self._feasible(x), gap

    def loss(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """Mean cross-entropy and its gradient."""
        rest, loss = self._probabilities(x)
        rest[self._own] -= 1
        rest /= len(rest)
        return loss, np.concatenate([(rest.T @ self.features).ravel(), rest.sum(0)])

    def _probabilities(self, x: np.ndarray) -> tuple[np.ndarray, float]:
        """float64[images, classes], and the mean cross-entropy; in place, as this is where the time goes."""
        logits = self.features @ x[: -self.classes].reshape(self.classes, -1).T
        logits += x[-self.classes :]
        logits -= logits.max(1, keepdims=True)
        own = logits[self._own]
        p = np.exp(logits, out=logits)
        total = p.sum(1)
        p /= total[:, None]
        return p, (np.log(total) - own).mean()

    def _excess(self, x: np.ndarray) -> np.ndarray:
        """(|v_i - v_j|^2 - 1) / 2, float64[classes, classes]."""
        rows = self.split(x)[0]
        products = rows @ rows.T
        squares = np.diag(products)
        return (squares[:, None] + squares - 2 * products - 1) / 2

    def _augmented(self, multipliers: np.ndarray, penalty: float, x: np.ndarray) -> tuple[float, np.ndarray]:
        """The augmented Lagrangian, up to a constant, and its gradient."""
        pull = np.maximum(0, multipliers + penalty * self._excess(x))
        loss, gradient = self.loss(x)
        gradient[: -self.classes] += self._pulled(pull, x)
        return loss + (pull**2).sum() / (4 * penalty), gradient

    def _pulled(self, pull: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Gradient of sum_{i<j} pull_ij |v_i - v_j|^2 / 2 in the rows."""
        return (_laplacian(pull) @ self.split(x)[0]).ravel()

    def _balanced(self, x: np.ndarray) -> np.ndarray:
        """x after a Newton step of the biases: mean probabilities become the classes' frequencies."""
        p = self._probabilities(x)[0]
        mean = p.mean(0)
        slope = mean - np.bincount(self.labels, minlength=self.classes) / len(p)
        step = np.linalg.lstsq(np.diag(mean) - p.T @ p / len(p), slope, rcond=1e-12)[0]
        return np.concatenate([x[: -self.classes], x[-self.classes :] - step])

    def _feasible(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and biases at x, the rows drawn together where they are too far apart."""
        rows, bias = self.split(x)
        return rows * min(1, 1 / scipy.spatial.distance.pdist(rows).max()), bias

    def _gap(self, x: np.ndarray, multipliers: np.ndarray) -> float:
        """The feasible loss at x minus what the multipliers prove to be the least, at most.

        The Lagrangian of the multipliers is nowhere above the loss where rows are feasible. It is convex;
        what its value at x may still be above its least follows from its gradient there.
        """
        loss, gradient = self.loss(x)
        by_rows = gradient[: -self.classes] + self._pulled(multipliers, x)
        least = loss + (multipliers * self._excess(x)).sum() / 2
        feasible = self.loss(np.concatenate([part.ravel() for part in self._feasible(x)]))[0]
        rest = self._rest_of_rows(x, by_rows, multipliers)
        return feasible - least + rest + self._rest_of_biases(x, gradient[-self.classes :])

    def _rest_of_rows(self, x: np.ndarray, gradient: np.ndarray, multipliers: np.ndarray) -> float:
        """By strong convexity, or by convexity: feasible centred rows have norm sqrt(classes / 2) at most."""
        norm = np.linalg.norm(gradient)
        by_norm = gradient @ self.split(x)[0].ravel() + norm * np.sqrt(self.classes / 2)
        modulus = np.linalg.eigvalsh(_laplacian(multipliers))[1]
        return min(by_norm, norm**2 / (2 * modulus)) if modulus > 0 else by_norm

    def _rest_of_biases(self, x: np.ndarray, gradient: np.ndarray) -> float:
        """By convexity.

        Biases of the optimum differ by the log-ratio of two frequencies and the norm of the longest image at
        most.
        """
        counts = np.bincount(self.labels, minlength=self.classes)
        reach = np.log(counts.max() / counts.min()) + np.linalg.norm(self.features, axis=1).max()
        return np.abs(gradient).sum() * (reach + np.abs(self.split(x)[1]).max())


def _laplacian(pull: np.ndarray) -> np.ndarray:
    return np.diag(pull.sum(1)) - pull
