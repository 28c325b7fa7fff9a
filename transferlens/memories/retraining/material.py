"""What remedies are made of: source training images of the classes that distract most."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from transferlens.core.settings import InputSettings
from transferlens.data import index, pipeline
from transferlens.memories.retraining import left_out
from transferlens.training.recipes.remedies import Material
from transferlens.training.recipes.settings.remedies import RemediedSettings


def of_distracting_classes(
    files: Mapping[str, Path], given: Mapping[str, Any], recipe: RemediedSettings, device: torch.device
) -> Material:
    """The material of a recipe.

    Args:
        files: `source_index` and `source_train`; `interference` and `probes` of the recipe without a remedy.
        given: `source_input`, how images enter the networks; `side` and `placement` of composites.
    """
    source, images = index.read_index(files["source_index"]), InputSettings.read(given["source_input"])
    classes = left_out.remedied_classes(files["interference"], files["probes"], recipe.classes)
    return Material(
        pipeline.open_images(files["source_train"], source.train, images, device),
        classes,
        [source.class_names[c] for c in classes],
        given["side"],
        given["placement"],
    )
