"""Geometry of composites, images pasted on others; one for training and for evaluation."""

import numpy as np


def pasted_side(resolution: int, share: float) -> int:
    """Side of the pasted image in pixels."""
    return round(share * resolution)


def places(count: int, room: int, placement: str, rng: np.random.Generator, first: int = 0) -> np.ndarray:
    """Left and upper edge of each pasted image, int64[count, 2], from 0 to `room`: always whole.

    Args:
        placement: `random`, or `grid`: nine places in turn, beginning with number `first`.
    """
    if placement == "random":
        return np.stack([rng.integers(0, room + 1, count), rng.integers(0, room + 1, count)], axis=1)
    thirds, turn = np.array([0, room // 2, room]), np.arange(first, first + count)
    return np.stack([thirds[turn % 3], thirds[turn // 3 % 3]], axis=1)
