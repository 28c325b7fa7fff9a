"""Hadamard matrices: square, entries +1 and -1, rows orthogonal to each other, and so are columns."""

from functools import lru_cache

import numpy as np


@lru_cache(maxsize=4)
def hadamard(order: int) -> np.ndarray:
    """An int8[order, order] Hadamard matrix by Sylvester's and Paley's constructions.

    Raises:
        ValueError: an order that these constructions (over prime fields) do not reach.
    """
    if order == 1:
        return np.ones((1, 1), np.int8)
    if order == 2:
        return np.array([[1, 1], [1, -1]], np.int8)
    if _is_prime(order - 1) and order % 4 == 0:
        return _paley_one(order - 1)
    if order % 4 == 0 and _is_prime(order // 2 - 1) and (order // 2 - 1) % 4 == 1:
        return _paley_two(order // 2 - 1)
    if order % 2 == 0 and _is_constructible(order // 2):
        return np.kron(hadamard(2), hadamard(order // 2))
    raise ValueError(f"no construction of a Hadamard matrix of order {order}")


def order_for(columns: int) -> int:
    """The smallest order of at least `columns` that `hadamard` can make."""
    order = max(columns, 1)
    while not _is_constructible(order):
        order += 1
    return order


def _is_constructible(order: int) -> bool:
    if order in (1, 2):
        return True
    if order % 4:
        return False
    half = order // 2
    return _is_prime(order - 1) or ((half - 1) % 4 == 1 and _is_prime(half - 1)) or _is_constructible(half)


def _is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def _jacobsthal(prime: int) -> np.ndarray:
    """Q[i, j] = 1 where i - j is a non-zero square modulo `prime`, -1 where it is none, 0 on the diagonal."""
    character = -np.ones(prime, np.int8)
    character[np.arange(1, prime) ** 2 % prime] = 1
    character[0] = 0
    i = np.arange(prime)
    return character[(i[:, None] - i[None, :]) % prime]


def _paley_one(prime: int) -> np.ndarray:
    """Order prime + 1 for a prime that is 3 modulo 4."""
    skew = np.zeros((prime + 1, prime + 1), np.int8)
    skew[0, 1:], skew[1:, 0], skew[1:, 1:] = 1, -1, _jacobsthal(prime)
    return skew + np.eye(prime + 1, dtype=np.int8)


def _paley_two(prime: int) -> np.ndarray:
    """Order 2 (prime + 1) for a prime that is 1 modulo 4."""
    symmetric = np.zeros((prime + 1, prime + 1), np.int8)
    symmetric[0, 1:], symmetric[1:, 0], symmetric[1:, 1:] = 1, 1, _jacobsthal(prime)
    off_diagonal, diagonal = np.array([[1, 1], [1, -1]], np.int8), np.array([[1, -1], [-1, -1]], np.int8)
    return np.kron(symmetric, off_diagonal) + np.kron(np.eye(prime + 1, dtype=np.int8), diagonal)
