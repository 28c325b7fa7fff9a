"""How many models, or images, would tell two recipes apart: from the variance components of their difference.

The difference of two recipes on an image, by one model, is taken apart into what the model has of its own on
all images, what the image has for all models, and the rest.
"""

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import scipy  # its functions load at their first use

MOST_MODELS, MOST_IMAGES = 1000, 1_000_000


@dataclass(frozen=True)
class Components:
    """Variances of a difference: between models, between images, and of each value by itself;
    none below zero."""

    models: float
    images: float
    both: float

    @classmethod
    def of(cls, values: np.ndarray, weights: np.ndarray) -> "Components":
        """Mean squares of the two-way layout, set equal to their expectations.

        Args:
            values: float64[models, images], at least two of either.
            weights: float64[images], what each counts in the mean.
        """
        models, images = values.shape
        # What each value adds to the mean, as if all images counted alike.
        adds = (
            weights * images / weights.sum() * (values - np.average(values, axis=1, weights=weights).mean())
        )
        of_models, of_images = adds.mean(1), adds.mean(0)
        rest = adds - of_models[:, None] - of_images + adds.mean()
        both = (rest**2).sum() / ((models - 1) * (images - 1))
        between = of_models.var(ddof=1) - both / images, of_images.var(ddof=1) - both / models
        return cls(*(max(float(part), 0.0) for part in (*between, both)))

    def reach(self, models: int, images: int) -> float:
        """How far the 95 % interval of the mean reaches to either side, as in `core.crossed`."""
        both = self.both / (models * images)
        of_models, of_images = self.models / models + both, self.images / images + both
        variance = self.models / models + self.images / images + both
        if variance == 0:
            return 0.0
        df = variance**2 / (of_models**2 / (models - 1) + of_images**2 / (images - 1))
        return float(scipy.stats.t.ppf(0.975, df) * np.sqrt(variance))


@dataclass(frozen=True)
class Needed:
    """The least number of models (with the images at hand), and of images (with the models at hand), whose
    interval is narrow enough; None where none is."""

    models: int | None
    images: int | None


def needed(parts: Components, models: int, images: int, reach: float) -> Needed:
    """What makes an interval reach no further than `reach` to either side."""
    return Needed(
        _least(lambda count: parts.reach(count, images), reach, MOST_MODELS),
        _least(lambda count: parts.reach(models, count), reach, MOST_IMAGES),
    )


def _least(reach: Callable[[int], float], wanted: float, most: int) -> int | None:
    """The least count, of at least two, that reaches no further than wanted; more never reach further."""
    counts = range(2, most + 1)
    place = bisect_left(counts, -wanted, key=lambda count: -reach(count))
    return counts[place] if place < len(counts) else None
