"""Estimate the influence of every source class on each cell of the probe examples' evidence maps."""

from pathlib import Path

import torch

from transferlens import job
from transferlens.config import InputSettings
from transferlens.data import index, pipeline
from transferlens.influence import map_pictures, maps
from transferlens.training import probe


def main(arguments):
    settings = arguments.settings
    images = pipeline.open_images(
        arguments.val,
        index.read_index(arguments.index).val,
        InputSettings.of(settings["input"]),
        torch.device("cpu"),
    )
    _, pixels = images.pick(probe.read_examples(arguments.shards))
    maps.write_influence_maps(
        arguments.out,
        arguments.shards,
        arguments.summary,
        arguments.influence,
        pixels,
        settings["estimator"],
        settings["output"],
        config=settings,
        inputs=[*arguments.shards, arguments.summary, arguments.influence, arguments.index],
    )
    map_pictures.draw(arguments.out, arguments.picture, settings["shown"])


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--shards", type=Path, nargs="+", required=True, help="transfers, in order")
    parser.add_argument("--summary", type=Path, required=True, help="of the same transfers")
    parser.add_argument("--influence", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    job.run(main, parser)
