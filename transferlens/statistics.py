"""Intervals and corrections shared by every room."""

from dataclasses import dataclass

import numpy as np
import scipy  # its statistics load at their first use: they take a second, which planning can spare


@dataclass(frozen=True)
class Interval:
    """Estimates with their two-sided 95 % intervals (arrays of one shape, or scalars)."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def t_interval(value: np.ndarray, se: np.ndarray, df: np.ndarray | float) -> Interval:
    """Student's interval from a standard error and its degrees of freedom."""
    reach = scipy.stats.t.ppf(0.975, df) * se
    return Interval(value, value - reach, value + reach)


def mean_interval(values: np.ndarray) -> Interval:
    """Mean over the last axis, whose entries are independent."""
    n = values.shape[-1]
    return t_interval(values.mean(-1), values.std(-1, ddof=1) / np.sqrt(n), n - 1)


def jackknife_interval(value: float, without: np.ndarray) -> Interval:
    """From the leave-one-out values float64[units]."""
    n = len(without)
    se = np.sqrt((n - 1) / n * np.sum((without - without.mean()) ** 2))
    return t_interval(np.float64(value), se, n - 1)


def two_sided_p(effect: np.ndarray, se: np.ndarray, df: np.ndarray | float) -> np.ndarray:
    """Student's p-values of a zero effect; 1 for an effect of exactly zero, 0 for any other without error."""
    certain = np.where(effect == 0, 0.0, np.inf)
    t = np.divide(np.abs(effect), se, out=certain, where=se > 0)
    return 2 * scipy.stats.t.sf(t, df)


def q_values(p: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg adjusted p-values over all cells of the array."""
    return scipy.stats.false_discovery_control(p.ravel()).reshape(p.shape)
