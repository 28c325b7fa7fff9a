"""Which images are pasted on which, and where; the same for training and for evaluation."""

import math

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


def pairs_of(first: np.ndarray, second: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Different pairs int64[n, 2] of members, at most `count`, every member in about as many."""
    numbers = np.arange(min(count, len(first) * len(second)))
    # After each common multiple the same pairs would come again: there the second list moves on by one.
    shift = numbers // math.lcm(len(first), len(second))
    i, j = numbers % len(first), (numbers + shift) % len(second)
    return np.stack([rng.permutation(first)[i], rng.permutation(second)[j]], axis=1)
