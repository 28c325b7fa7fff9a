"""Estimate the influence of every source class on each cell of the probe examples' evidence maps."""

from argparse import Namespace

import torch

from transferlens.core import job
from transferlens.core.settings import InputSettings
from transferlens.data import index, pipeline
from transferlens.influence_maps import estimates, picture
from transferlens.training import kept_maps


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    images = pipeline.open_images(
        arguments.val,
        index.read_index(arguments.index).val,
        InputSettings.read(settings["input"]),
        torch.device("cpu"),
    )
    _, pixels = images.pick(kept_maps.read_examples(arguments.shards))
    estimates.write_influence_maps(
        arguments.maps,
        arguments.shards,
        arguments.summary,
        arguments.influence,
        pixels,
        settings["estimator"],
        settings["output"],
    )
    picture.draw(arguments.maps, arguments.picture, settings["shown"])


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("shards", "transfers, in order", many=True)
    script.reads("summary", "of the same transfers")
    script.reads("influence")
    script.reads("index", "of the target data set")
    script.reads("val", "its evaluation images")
    script.writes("maps")
    script.writes("picture")
    script.run(main)
