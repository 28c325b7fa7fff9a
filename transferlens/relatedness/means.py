"""Means and correlations of bounds over models.

A mean over models of what each has on the same test images varies by both. The images' part is known model by
model; as models share their images, it is taken to be the same error for all of them, which makes intervals
too wide rather than too narrow where models err on different images.
"""

from dataclasses import dataclass

import numpy as np

from transferlens.core.statistics import correlation_interval, t_interval

# With fewer models a correlation says nothing.
LEAST_MODELS = 5
_NORMAL_REACH = 1.959963984540054  # standard errors from the middle to the end of an interval of images


@dataclass(frozen=True)
class Means:
    """Means over models, float64[...], with the ends of their intervals."""

    value: np.ndarray
    low: np.ndarray
    high: np.ndarray


def over_models(values: np.ndarray, reach: np.ndarray) -> Means:
    """Means of values [models, ...] for claims about other models and other images; of one model, about other
    images alone.

    Args:
        reach: float64[models, ...], half of each one's interval over images; 0 where no image decides it.
    """
    models = len(values)
    value, images = values.mean(0), (reach.mean(0) / _NORMAL_REACH) ** 2
    own = values.var(0, ddof=1) / models if models > 1 else np.zeros(value.shape)
    variance = own + images
    # Satterthwaite: of the images' part, of hundreds of images, the degrees of freedom are many.
    share = np.divide(own, variance, out=np.zeros(value.shape), where=variance > 0)
    df = max(models - 1, 1) / np.maximum(share, 1e-9) ** 2
    # Values that do not differ at all tell nothing of how others would.
    se = np.where(variance > (1e-9 * value) ** 2, np.sqrt(variance), np.nan)
    interval = t_interval(value, se, df)
    return Means(value, interval.low, interval.high)


def correlation(x: np.ndarray, y: np.ndarray) -> tuple[float, float, float]:
    """Pearson's over models with its interval (a jackknife over models on Fisher's scale); NaN for few.

    Args:
        x, y: float64[models].
    """
    if len(x) < LEAST_MODELS or np.ptp(x) == 0 or np.ptp(y) == 0:
        return np.nan, np.nan, np.nan
    kept = ~np.eye(len(x), dtype=bool)
    value, *without = (_pearson(x[k], y[k]) for k in (np.ones(len(x), bool), *kept))
    interval = correlation_interval(value, np.array(without))
    return value, float(interval.low), float(interval.high)


def _pearson(x: np.ndarray, y: np.ndarray) -> float:
    return float(np.corrcoef(x, y)[0, 1])
