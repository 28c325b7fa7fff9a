"""How far the two domains are apart in each layer, along the way."""

import numpy as np

from transferlens.core import job
from transferlens.core.statistics import Interval
from transferlens.dynamics.similarity import gap
from transferlens.dynamics.similarity.gap import Gap
from transferlens.dynamics.told import bands
from transferlens.dynamics.told.bands import Arrays
from transferlens.dynamics.told.probed import Probed

# Kernels are of all pairs of images: so many of each domain, or a quarter of them.
_FEWEST_IMAGES, _MOST_IMAGES = 128, 512


def images_of(images: int) -> int:
    """How many of a domain's images are compared, the first."""
    return min(images, max(_FEWEST_IMAGES, min(images // 4, _MOST_IMAGES)))


def told(target: Probed, source: Probed) -> Arrays:
    """Fields of SIMILARITY about the gap between two domains, in the same networks."""
    layers = range(len(target.layers))
    found = [
        [_of_layer(target, source, model, layer) for layer in layers]
        for model in job.progress(target.whole, "gaps between the domains", "models")
    ]
    measures = list(found[0][0][0])
    nested = [
        [[[own[name] for own in of_layer] for of_layer in model] for model in found] for name in measures
    ]
    gaps = np.array(nested, object)  # [measure, model, layer, step]
    interval = Interval(*(_each(gaps, end) for end in ("value", "low", "high")))
    return {
        "gap_measure": measures,
        "gap_note": [next((one.note for one in own.flat if one.note), "") for own in gaps],
        **bands.named("gap", interval),
        **bands.named("mean_gap", bands.over_models(interval.value.swapaxes(0, 1))),
    }


def _each(gaps: np.ndarray, end: str) -> np.ndarray:
    """The values, or ends of the intervals, of gaps [...], float64[...]."""
    return np.array([getattr(one.interval, end) for one in gaps.flat]).reshape(gaps.shape)


def _of_layer(target: Probed, source: Probed, model: int, layer: int) -> list[dict[str, Gap]]:
    """Of a layer of a model, after each step."""
    features = (domain.pooled(model, layer, images_of(domain.images)) for domain in (target, source))
    return [gap.gaps(*own) for own in zip(*features, strict=True)]
