"""Train the source models of one shard."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from transferlens.core import job, studies
from transferlens.core.settings import InputSettings, NetworkSettings, TrainingSettings
from transferlens.data import index, pipeline
from transferlens.data.index import Examples
from transferlens.data.shared import SharedImages
from transferlens.training import device, resumption, source
from transferlens.training.recipes import kinds
from transferlens.training.recipes.settings.base import RecipeSettings
from transferlens.training.recipes.settings.plain import FullSettings


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    rows, unit_of_image = studies.read_masks(arguments.masks)
    examples = index.read_index(arguments.index)
    images, recipe = InputSettings.read(settings["input"]), _recipe(settings)
    source.train_shard(
        arguments.models,
        rows,
        unit_of_image,
        examples.class_names,
        _train_images(arguments.train, examples.train, images, place, settings),
        pipeline.open_images(arguments.val, examples.val, images, place),
        NetworkSettings.read(settings["architecture"]),
        recipe,
        settings["step_matched"],
        settings.get("checkpoints", []),
        resumption.progress(
            arguments.models, arguments.resume_minutes, "train_source.py", kinds.KINDS[recipe.kind].code
        ),
        arguments.models_at_once,
    )
    source.write_record(arguments.record, arguments.models)


def _train_images(
    beton: Path, examples: Examples, images: InputSettings, place: torch.device, settings: Mapping[str, Any]
) -> pipeline.Images:
    """The training images, decoded once for several models where that is asked for."""
    if images.loading == "shared":
        return SharedImages(beton, examples, images, place, settings["order_seed"])
    return pipeline.open_images(beton, examples, images, place)


def _recipe(settings: Mapping[str, Any]) -> RecipeSettings:
    """How source models are trained: supervised, or by another objective."""
    if "objective" in settings:
        return kinds.read(settings["objective"])
    return FullSettings(training=TrainingSettings.read(settings["training"]))


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("masks")
    script.reads("index", "of the source data set")
    script.reads("train")
    script.reads("val")
    script.takes("resume_minutes", type=float, help="between two times that a run in progress is kept")
    script.takes("models_at_once", type=int, default=1, help="trained side by side, where they can be")
    script.writes("models")
    script.writes("record", "all of it but the weights")
    script.run(main)
