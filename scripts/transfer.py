"""Adapt the source models of one shard to a target, and record their outputs on every target example."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import torch

from transferlens.core import imports, job
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.training import device, moments, resumption, transfer
from transferlens.training.recipes import kinds as recipes


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    target = index.read_index(arguments.index)
    images = InputSettings.read(settings["input"])
    train, val = (
        pipeline.open_images(beton, examples, images, place)
        for beton, examples in ((arguments.train, target.train), (arguments.val, target.val))
    )
    recipe = recipe_of(arguments)
    transfer.transfer_shard(
        arguments.runs,
        arguments.source,
        target,
        train,
        val,
        NetworkSettings.read(settings["architecture"]),
        recipe,
        settings["keep_weights"],
        settings["metric"],
        [imports.resolve(path)(val, given) for path, given in settings.get("keeps", {}).items()],
        material_of(arguments, recipe, place),
        _checkpoints(settings, recipe, len(train)),
        resumption.progress(
            arguments.runs, arguments.resume_minutes, "transfer.py", code_of(settings, recipe)
        ),
        arguments.models_at_once,
    )


def _checkpoints(settings: Mapping[str, Any], recipe: recipes.RecipeSettings, images: int) -> list[int]:
    """After how many optimiser steps networks are kept, if any are."""
    given = settings.get("checkpoints")
    return [] if given is None else moments.steps(moments.MomentSettings.read(given), recipe, images)


def recipe_of(arguments: Namespace) -> recipes.RecipeSettings:
    """The recipe's settings, with what was chosen of them laid over those that were written."""
    recipe = recipes.read(arguments.settings["recipe"], "recipe")
    reader = arguments.settings.get("chosen")
    return imports.resolve(reader)(arguments.others, recipe) if reader else recipe


def code_of(settings: Mapping[str, Any], recipe: recipes.RecipeSettings) -> list[str]:
    """Import paths of what trains by the recipe, and of what makes its material."""
    makers = [settings["material"]["maker"]] if "material" in settings else []
    return [*recipes.KINDS[recipe.kind].code, *makers]


def material_of(arguments: Namespace, recipe: recipes.RecipeSettings, place: torch.device) -> Any:
    """What the recipe is made of beside the target's images, by the function that its settings name."""
    given = arguments.settings.get("material")
    return given and imports.resolve(given["maker"])(arguments.others, given, recipe, place)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("source", "shard of source models")
    script.reads("index", "of the target data set")
    script.reads("train")
    script.reads("val")
    script.reads_others("others")  # what the recipe is made of beside these
    script.takes("resume_minutes", type=float, help="between two times that a run in progress is kept")
    script.takes("models_at_once", type=int, default=1, help="trained side by side, where they can be")
    script.writes("runs")
    script.run(main)
