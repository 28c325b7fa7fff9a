"""The way of each layer from its start to its end: how far, how straight, and when half of it was done."""

from itertools import pairwise

import numpy as np
from torch import Tensor

from transferlens.core import job
from transferlens.dynamics.similarity import cka
from transferlens.dynamics.told import bands, images
from transferlens.dynamics.told.bands import Arrays
from transferlens.dynamics.told.probed import Probed

_MOST_IMAGES = 1024


def told(probed: Probed, excess: np.ndarray, end_high: np.ndarray) -> Arrays:
    """Fields of SIMILARITY about ways on one domain, without the domain's axis.

    Args:
        excess: float64[models, layers, steps], similarity to the start above the null.
        end_high: float64[models, layers], upper end of the interval of the end's similarity to the start.
    """
    layers = range(len(probed.layers))
    made = []
    for model in job.progress(probed.whole, f"ways on {probed.name}", "models"):
        features = (probed.pooled(model, layer, _MOST_IMAGES) for layer in layers)
        of_layers = [_of_layer(own) for own in features]
        made.append(bands.collected(of_layers))
    half = half_change_step(probed.steps, excess, end_high)
    ways = bands.collected(made) | {"half_change_step": half}
    means = bands.named("mean_half_change_step", bands.geometric(half))
    return bands.with_means(ways, "path_length", "straightness") | means


def half_change_step(steps: np.ndarray, excess: np.ndarray, end_high: np.ndarray) -> np.ndarray:
    """The first of steps [steps] by which half of the whole change of similarities [..., steps] was done.

    Args:
        excess: similarity to the start above the null.
        end_high: float64[...], upper end of the interval of the end's similarity to the start.

    Returns:
        float64[...], NaN where no change is told apart from none: the interval holds 1.
    """
    half = (1 + excess[..., -1:]) / 2
    reached = steps[(excess <= half).argmax(-1)].astype(float)
    return np.where(end_high < 1, reached, np.nan)


def _of_layer(features: Tensor) -> Arrays:
    """Of pooled features [steps, images, channels]."""
    length, straightness = path(features)
    return bands.named("pooled_to_start", images.to_first(features)) | {
        "path_length": np.float64(length),
        "straightness": np.float64(straightness),
    }


def path(features: Tensor) -> tuple[float, float]:
    """Length, in radians, of the way of features [steps, n, d] through the kept steps, and its straightness.

    The straightness is the angle between start and end over the length; NaN where nothing moved. Angles are
    arc cosines of biased CKA, which are a metric: by the unbiased one, a detour might come out shorter.
    """
    length = sum(_angle(one, other) for one, other in pairwise(features))
    return length, _angle(features[0], features[-1]) / length if length else np.nan


def _angle(one: Tensor, other: Tensor) -> float:
    return float(np.arccos(min(cka.linear(one, other), 1.0)))
