"""What the interactive page knows: the numbers of SIMILARITY as its script reads them."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import xarray as xr

from transferlens.dynamics.words import domain_words, short_layers
from transferlens.pictures.embedded import base64_text, rounded

# Quantities of a layer at a step: the variable, its mean over models, the heading, and what it is.
QUANTITIES = (
    (
        "excess",
        "mean_excess",
        "excess over the null, to step 0",
        "similarity to step 0 above that of images in random order, over the most it could be above",
    ),
    (
        "to_start",
        "mean_to_start",
        "similarity to step 0",
        "unbiased minibatch CKA with the same layer at step 0",
    ),
    (
        "to_end",
        "mean_to_end",
        "similarity to the end",
        "unbiased minibatch CKA with the same layer at the end",
    ),
    (
        "corrected_to_start",
        "mean_corrected_to_start",
        "similarity to step 0, given the pixels",
        "partial CKA: what is alike beyond what the pixels of the images have in common",
    ),
)
# Similarities of layers and steps are told to this unit, as whole numbers; UNKNOWN is undefined.
UNIT, UNKNOWN = 1e-4, -(2**15)


def content(made: xr.Dataset) -> dict[str, Any]:
    """Everything but units, as JSON can hold it.

    Numbers of a layer and step are nested lists [domain, model, layer, step], in which the mean over models
    goes before the models, where there are several.
    """
    return {
        "layers": short_layers(made.layer.values),
        "steps": made.step.values.tolist(),
        "domains": domain_words(made),
        "models": _models(made),
        "quantities": list(_quantities(made)),
        "null": rounded(_with_mean(made, "to_start_null_mean", None)),
        "q": rounded(_with_mean(made, "to_start_q", "mean_to_start_q")),
        "cka": {"unit": UNIT, "unknown": UNKNOWN, "packed": _packed(made.cka.values)},
        "levels": {
            "random_init": rounded(made.random_init.values),
            "scratch_end": rounded(made.scratch_end.values),
            "other_seed": rounded(made.other_seed.values),
        },
        "accuracy": rounded(_accuracy(made)),
        "notes": made.layer_note.values.tolist(),
    }


def _models(made: xr.Dataset) -> list[dict[str, Any]]:
    """Names of models, and what their intervals are about; first the mean over them."""
    each = [{"name": f"model {row}", "interval": "over images"} for row in made.model.values.tolist()]
    mean = {"name": f"mean of {len(each)} models", "interval": "over models"}
    return [mean, *each] if len(each) > 1 else each


def _quantities(made: xr.Dataset) -> Iterator[dict[str, Any]]:
    """Every quantity with its intervals, where it has any."""
    for name, mean, heading, explanation in QUANTITIES:
        told = {"name": name, "heading": heading, "explanation": explanation}
        told["value"] = rounded(_with_mean(made, name, mean))
        for end in ("low", "high"):
            told[end] = rounded(_with_mean(made, f"{name}_{end}", f"{mean}_{end}"))
        yield told


def _with_mean(made: xr.Dataset, name: str, mean: str | None) -> np.ndarray:
    """[domain, model, layer, step] of a variable, NaN where the file has none, after its mean over models.

    Args:
        mean: the variable that holds the mean; None to take it here.
    """
    own = made[name].transpose("domain", "model", "layer", "step").values if name in made else None
    if own is None:
        own = np.full(made.to_start.shape, np.nan)
    if made.sizes["model"] == 1:
        return own
    first = own.mean(1) if mean is None else made[mean].transpose("domain", "layer", "step").values
    return np.concatenate([first[:, None], own], 1)


def _accuracy(made: xr.Dataset) -> np.ndarray:
    """[model, step], likewise after its mean."""
    own = made.accuracy.transpose("model", "step").values
    return np.concatenate([own.mean(0)[None], own]) if len(own) > 1 else own


def _packed(cka: np.ndarray) -> list[list[str]]:
    """The lower triangles of CKA [domain, model, layer, step, other layer, other step], 16 bits a number.

    Returns:
        By domain and model; rows are layers and, within them, steps.
    """
    side = cka.shape[2] * cka.shape[3]
    below = np.tril_indices(side)
    whole = np.round(cka / UNIT).clip(UNKNOWN + 1, -UNKNOWN - 1)
    whole = np.where(np.isfinite(cka), whole, UNKNOWN).astype("<i2").reshape(*cka.shape[:2], side, side)
    return [[base64_text(one[below].tobytes()) for one in of_domain] for of_domain in whole]
