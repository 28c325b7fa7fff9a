"""Adapt the source models of one shard to a target, and record their outputs on every target example."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path

import torch

from transferlens.core import job
from transferlens.core.settings import ArchitectureSettings, InputSettings
from transferlens.data import index, pipeline
from transferlens.memories.retraining import left_out
from transferlens.training import device, kept_maps, transfer
from transferlens.training.recipes import remedies
from transferlens.training.recipes import settings as recipes


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    recipe = recipes.read(settings["recipe"], "recipe")
    target = index.read_index(arguments.index)
    images = InputSettings.read(settings["input"])
    train, val = (
        pipeline.open_images(beton, examples, images, place)
        for beton, examples in ((arguments.train, target.train), (arguments.val, target.val))
    )
    transfer.transfer_shard(
        arguments.out,
        arguments.source,
        target,
        train,
        val,
        ArchitectureSettings.read(settings["architecture"]),
        recipe,
        settings["keep_weights"],
        settings["metric"],
        kept_maps.open_probe(val, **settings["probe"]) if "probe" in settings else None,
        material_of(arguments, settings, recipe, place)
        if recipes.KINDS[recipe.kind].made_of_source
        else None,
        settings.get("checkpoints", []),
        config=settings,
        inputs=[
            arguments.source,
            arguments.index,
            *(beton.with_suffix(".h5") for beton in (arguments.train, arguments.val)),
            *(path for path in (arguments.source_index, arguments.interference, arguments.probes) if path),
        ],
    )


def material_of(
    arguments: Namespace, settings: Mapping, recipe: recipes.RemediedSettings, place: torch.device
) -> remedies.Material:
    """What the recipe is made of: training images of the source classes that distract most."""
    source, given = index.read_index(arguments.source_index), settings["composites"]
    classes = left_out.remedied_classes(arguments.interference, arguments.probes, recipe.classes)
    return remedies.Material(
        pipeline.open_images(
            arguments.source_train, source.train, InputSettings.read(settings["source_input"]), place
        ),
        classes,
        [source.class_names[c] for c in classes],
        given["side"],
        given["placement"],
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--source", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--val", type=Path, required=True)
    remedy = parser.add_argument_group("for a recipe with a remedy")
    remedy.add_argument("--source-index", type=Path)
    remedy.add_argument("--source-train", type=Path)
    remedy.add_argument("--interference", type=Path, help="of the recipe without the remedy")
    remedy.add_argument("--probes", type=Path, help="of the recipe without the remedy")
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
