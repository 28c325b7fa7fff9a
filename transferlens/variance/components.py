"""Variance components of the mean score of models on images, and the intervals that follow from them.

A score of a model on an image varies by the seed of its source model, by the seed of the transfer within
that, by the image, and by all that a model has of its own on an image:

    value[r, k, i] = mean + S[r] + T[r, k] + I[i] + (SI)[r, i] + (TI)[r, k, i]

with independent parts. Mean squares of the balanced design are set equal to their expectations (Searle,
Casella and McCulloch 1992, ch. 4): unbiased, and below zero where a component is small.
"""

from dataclasses import dataclass, replace
from functools import cache

import numpy as np
import scipy

from transferlens.core.seeding import rng_for
from transferlens.core.statistics import Interval, percentile_interval, t_interval

# With fewer repeats the variance between them is too uncertain to plan by.
LEAST_REPEATS = 4
_DRAWS = 20_000
_MOST_REPEATS = 1 << 20


@dataclass(frozen=True)
class Components:
    """Parts of the variance of one model's mean score on n images, each with its interval.

    Attributes:
        source, transfer: between seeds of the source, and of the transfer within a source model.
        images: from the sampling of the images, which all models share.
        both: what a model has of its own on the images.
        models: what varies from repeat to repeat on the same images: all but `images`.
    """

    source: Interval
    transfer: Interval
    images: Interval
    both: Interval
    models: Interval


def estimate(values: np.ndarray) -> Components:
    """Components from values float64[repeats, transfers, images].

    The intervals of what seeds do are generalised ones (Weerahandi 1993): each mean square of models is taken
    for its expectation times a chi-square over its degrees of freedom; the far better known ones of images
    are taken as they are. Images are anything but normal: theirs are Student's intervals of means over
    images.

    Raises:
        ValueError: fewer than two repeats, transfers or images.
    """
    repeats, transfers, images = values.shape
    if min(values.shape) < 2:
        raise ValueError(f"variance components of {repeats} repeats, {transfers} transfers, {images} images")
    squares = _mean_squares(values)
    source_image, transfer_image = squares.source_image.mean(), squares.transfer_image.mean()
    scale, more = transfers * images, 1 - 1 / transfers
    of_seeds = {
        "source": lambda s, t: (s - t - source_image + transfer_image) / scale,
        "transfer": lambda s, t: (t - transfer_image) / images,
        "models": lambda s, t: s / scale + more * t / images,
    }
    drawn = _generalised(squares, repeats - 1, repeats * (transfers - 1))
    of_images = {
        "images": (squares.image - squares.source_image) / (repeats * scale),
        "both": (squares.source_image / transfers + more * squares.transfer_image) / images,
    }
    return Components(
        **{
            name: percentile_interval(part(squares.source, squares.transfer), part(*drawn))
            for name, part in of_seeds.items()
        },
        **{name: _mean_over_images(values) for name, values in of_images.items()},
    )


@dataclass(frozen=True)
class _Squares:
    """Mean squares: of models as numbers; float64[images] of which the mean is one where images matter."""

    source: float
    transfer: float
    image: np.ndarray
    source_image: np.ndarray
    transfer_image: np.ndarray


def _mean_squares(values: np.ndarray) -> _Squares:
    """Mean squares of values [repeats, transfers, images]."""
    repeats, transfers, images = values.shape
    # Deviations of one factor after another: what is left is that of all together.
    of_image = values.mean((0, 1)) - values.mean()
    left = values - values.mean((0, 1))
    of_source = left.mean((1, 2))
    of_transfer = left.mean(2) - of_source[:, None]
    of_source_image = left.mean(1) - of_source[:, None]
    of_transfer_image = left - left.mean(1, keepdims=True) - of_transfer[:, :, None]
    within, unbiased = repeats * (transfers - 1), images / (images - 1)
    return _Squares(
        transfers * images * np.square(of_source).sum() / (repeats - 1),
        images * np.square(of_transfer).sum() / within,
        repeats * transfers * np.square(of_image) * unbiased,
        transfers * np.square(of_source_image).sum(0) / (repeats - 1) * unbiased,
        np.square(of_transfer_image).sum((0, 1)) / within * unbiased,
    )


def _generalised(squares: _Squares, *df: int) -> tuple[np.ndarray, np.ndarray]:
    """Draws [draws] of what the mean squares of sources and of transfers may be expected to be."""
    source, transfer = (_chi_squares(d, name) for d, name in zip(df, ("source", "transfer"), strict=True))
    return squares.source / source, squares.transfer / transfer


@cache
def _chi_squares(df: int, name: str) -> np.ndarray:
    """Draws [draws] over their degrees of freedom; the same for all scores."""
    return rng_for("variance components", name).chisquare(df, _DRAWS) / df


def _mean_over_images(values: np.ndarray) -> Interval:
    """Mean of values [images]."""
    images = len(values)
    return t_interval(values.mean(), values.std(ddof=1) / np.sqrt(images), images - 1)


@dataclass(frozen=True)
class Spread:
    """How the mean score of r repeats, each transferred once, varies: by `models` / r plus `images`.

    Attributes:
        models: variance between repeats on the same images.
        images: variance from the sampling of the images; of so many (`count`).
    """

    models: float
    images: float
    count: int

    def reach(self, repeats: int) -> float:
        """Half the 95 % interval for other models and other images, by Satterthwaite's degrees of freedom.

        Those of the sum may be so many more that it would be surer than its first part alone: it never is.
        """
        parts = np.array([self.models / repeats, self.images])
        spread = np.square(parts) @ [1 / (repeats - 1), 1 / (self.count - 1)]
        df = parts.sum() ** 2 / spread if spread else np.inf
        return max(_reach(parts.sum(), df), self.reach_on_these(repeats))

    def reach_on_these(self, repeats: int) -> float:
        """Half the 95 % interval for other models on the same images."""
        return _reach(self.models / repeats, repeats - 1)

    def left(self) -> float:
        """What is left of `reach` with infinitely many repeats."""
        return _reach(self.images, self.count - 1)

    def repeats_to_halve(self, repeats: int) -> float:
        """The least number of repeats whose reach is half of that of `repeats`; inf where none is.

        NaN where nothing varies.
        """
        goal = self.reach(repeats) / 2
        if goal == 0:
            return np.nan
        few, many = repeats, 2 * repeats
        while self.reach(many) > goal:
            few, many = many, 2 * many
            if many > _MOST_REPEATS:
                return np.inf
        while many - few > 1:
            middle = (few + many) // 2
            few, many = (middle, many) if self.reach(middle) > goal else (few, middle)
        return float(many)


def _reach(variance: float, df: float) -> float:
    """Half the 95 % interval of a mean whose variance is known with so many degrees of freedom."""
    return float(scipy.stats.t.ppf(0.975, df) * np.sqrt(variance))


def spread_of(parts: Components, images: int) -> Spread:
    """What intervals follow from; a negative variance from images counts as none."""
    return Spread(float(parts.models.value), max(float(parts.images.value), 0.0), images)


def repeats_to_halve(parts: Components, images: int, repeats: int) -> Interval:
    """How many repeats halve the reach of so many, with what the uncertain variance between them makes of it.

    The more of the variance is between models, the fewer repeats halve it: ends of the one interval are ends
    of the other. NaN with fewer repeats than LEAST_REPEATS.
    """
    if repeats < LEAST_REPEATS:
        return Interval(*[np.float64(np.nan)] * 3)
    spread = spread_of(parts, images)
    value, low, high = (
        replace(spread, models=float(models)).repeats_to_halve(repeats)
        for models in (parts.models.value, parts.models.high, parts.models.low)
    )
    return Interval(np.float64(value), np.float64(low), np.float64(high))
