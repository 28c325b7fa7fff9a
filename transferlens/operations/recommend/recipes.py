"""The recipes that are tried, in the order in which a budget is spent on them, and their settings as written.

What is written is where trials begin (`comparison.search`); none of it was chosen on any data.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from transferlens.core.errors import ConfigError, nearest
from transferlens.training.recipes.kinds import KINDS

PLAIN, PROBE = "full", "fixed"
# After these two, by which the others are judged, ideas that differ most come first, and of those alike one.
ORDER = {
    PLAIN: "everything is trained; the others are compared with it",
    PROBE: "a new head alone; nothing of the source is forgotten",
    "ema": "plain, its weights averaged; costs next to nothing more",
    "lp_ft": "the head first, then everything",
    "l2_sp": "weights are pulled to the source's",
    "layerwise": "early layers learn slowly",
    "bitfit": "biases and scales alone are trained; steps are cheap",
    "ldifs": "features are pulled to the source's, which is made against forgetting",
}
# Optimiser steps of a training as written, and the epochs that these may become.
_STEPS, _FEWEST_EPOCHS, _MOST_EPOCHS = 300, 5, 30
# Where few parameters are trained, rates are higher; a converged head sends large gradients.
_OF_KIND = {
    "bitfit": {"lr": 0.05},
    "lora": {"lr": 0.05},
    "lp_ft": {"clip": 1.0},
    "wise_ft": {"clip": 1.0},
}
HEAD = {"epochs": 60, "batch_size": 64, "lr": 0.02, "schedule": "cosine", "weight_decay": 0.001}


def ordered(names: Sequence[str] | None) -> list[str]:
    """The recipes that are asked for in the order of their priority, the plain one first; None for `ORDER`.

    Raises:
        ConfigError: a name that is no recipe which can be asked for.
    """
    if names is None:
        return list(ORDER)
    known = [name for name, kind in KINDS.items() if not kind.asked_for_by]
    for name in names:
        if name not in known:
            raise ConfigError(f"--recipes: '{name}' is no recipe" + nearest(name, known))
    return list(dict.fromkeys([PLAIN, *names]))


def settings(names: Sequence[str], images: int, epochs: int | None, flip: bool) -> dict[str, dict[str, Any]]:
    """The section `recipes` of a configuration.

    Args:
        images: for training.
        epochs: of all that train the network; None for about 300 steps, in 5 to 30 epochs.
        flip: whether pictures may be mirrored.
    """
    shared = training(images, epochs, flip)
    made = {name: {"kind": name, "training": {**shared, **_OF_KIND.get(name, {})}} for name in names}
    return {**made, PROBE: {"kind": PROBE, "training": dict(HEAD)}}


def training(images: int, epochs: int | None, flip: bool) -> Mapping[str, Any]:
    """How the network is trained, by all recipes alike."""
    batch = 32 if images >= 320 else 16 if images >= 100 else 8
    enough = -(-_STEPS * batch // images)
    return {
        "epochs": epochs or min(max(enough, _FEWEST_EPOCHS), _MOST_EPOCHS),
        "batch_size": batch,
        "lr": 0.01,
        "schedule": "cosine",
        "weight_decay": 0.0005,
        "crop": "random_resized",
        "scale": [0.5, 1.0],
        "flip": flip,
    }
