"""Adapt the source models of one shard to a target, and measure how far their layers move on the way."""

from argparse import Namespace
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from transferlens.core import job
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.data.index import Examples
from transferlens.data.pipeline import Images
from transferlens.dynamics.activity import probes
from transferlens.dynamics.drift import measured
from transferlens.dynamics.settings import ProbeSettings
from transferlens.training import device, moments, resumption
from transferlens.training.recipes import kinds as recipes


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    recipe = recipes.read(settings["recipe"], "recipe")
    ground = ground_of(arguments, settings, place)
    given = moments.MomentSettings.read(settings["steps"])
    measured.write_drifts(
        arguments.drifts,
        arguments.source,
        NetworkSettings.read(settings["architecture"]),
        ground,
        recipe,
        moments.steps(given, recipe, len(ground.train)),
        resumption.progress(
            arguments.drifts,
            arguments.resume_minutes,
            "measure_drift.py",
            recipes.KINDS[recipe.kind].code,
        ),
    )


def ground_of(arguments: Namespace, settings: Mapping[str, Any], place: torch.device) -> measured.Ground:
    """What models are adapted to, and looked at on."""
    target, source = (index.read_index(path) for path in (arguments.index, arguments.source_index))

    def opened(beton: Path, examples: Examples, of: str = "input") -> Images:
        return pipeline.open_images(beton, examples, InputSettings.read(settings[of]), place)

    train, val = opened(arguments.train, target.train), opened(arguments.val, target.val)
    of_source = opened(arguments.source_val, source.val, "source_input")
    given = ProbeSettings.read(settings["probe"])
    looked_at = {settings["target"]: val, settings["source"]: of_source}
    return measured.Ground(
        target,
        train,
        val,
        settings["metric"],
        {name: probes.draw(images, given, settings["seed"], name) for name, images in looked_at.items()},
        settings["source"],
        source.class_names,
        settings["layers"],
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("source", "shard of source models")
    script.reads("index", "of the target data set")
    script.reads("train")
    script.reads("val")
    script.reads("source_index")
    script.reads("source_val")
    script.takes("resume_minutes", type=float, help="between two times that finished models are kept")
    script.writes("drifts")
    script.run(main)
