"""Features whose similarities are known."""

import numpy as np


def golden() -> tuple[np.ndarray, np.ndarray]:
    """The input of most published values: x float64[100, 10] and x with noise of its own size."""
    random = np.random.RandomState(1337)
    x = random.randn(100, 10)
    return x, random.randn(100, 10) + x


def independent(n: int, d: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Two unrelated sets of standard normal features float64[n, d]."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, d)), rng.normal(size=(n, d))


def orthonormal(n: int, d: int, seed: int = 0) -> np.ndarray:
    """Centred orthonormal columns float64[n, d]."""
    values = np.random.default_rng(seed).normal(size=(n, d))
    return np.linalg.qr(values - values.mean(0))[0]


def rotation(d: int, seed: int = 0) -> np.ndarray:
    """An orthogonal matrix float64[d, d]."""
    return np.linalg.qr(np.random.default_rng(seed).normal(size=(d, d)))[0]
