"""Similarity to the start within each class: how much is kept of what tells its images apart."""

import numpy as np

from transferlens.core import job
from transferlens.dynamics.similarity.minibatch import Estimate
from transferlens.dynamics.told import bands, images
from transferlens.dynamics.told.artefacts import FEWEST_IMAGES
from transferlens.dynamics.told.bands import Arrays
from transferlens.dynamics.told.probed import Probed


def told(probed: Probed, kind: str) -> Arrays:
    """Fields of SIMILARITY about the classes of a domain.

    Args:
        kind: `target_class` or `source_class`.
    """
    names, place = np.unique(probed.classes, return_inverse=True)
    members = [np.flatnonzero(place == i) for i in range(len(names))]
    within = _within(probed, members)
    mean = bands.over_models(within.value.swapaxes(0, 1))
    return {
        kind: names,
        f"{kind}_images": np.array([len(own) for own in members]),
        f"{kind}_note": np.array([_note(len(own)) for own in members], object),
        **bands.named(f"{kind}_to_start", within),
        **bands.named(f"mean_{kind}_to_start", mean),
    }


def _within(probed: Probed, members: list[np.ndarray]) -> Estimate:
    """CKA of pooled features with step 0, float64[classes, models, layers, steps]; NaN of classes too small.

    Args:
        members: positions of the images of each class.
    """
    shape = (len(members), len(probed.whole), len(probed.layers), len(probed.steps))
    made = Estimate(*np.full((4, *shape), np.nan))
    large = [i for i, own in enumerate(members) if not _note(len(own))]
    for m, model in enumerate(job.progress(probed.whole, f"classes of {probed.name}", "models")):
        for layer in range(shape[2]):
            features = probed.pooled(model, layer)
            for i in large:
                for part, values in vars(images.to_first(features[:, members[i]])).items():
                    getattr(made, part)[i, m, layer] = values
    return made


def _note(count: int) -> str:
    """Why a class of so many images is not told; '' where it is."""
    return f"{count} probe images, fewer than {FEWEST_IMAGES}" if count < FEWEST_IMAGES else ""
