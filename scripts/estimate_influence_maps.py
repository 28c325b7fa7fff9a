"""Estimate the influence of every source class on each cell of the probe examples' evidence maps."""

from pathlib import Path

import torch

from transferlens.core import job
from transferlens.core.config import InputSettings
from transferlens.data import index, pipeline
from transferlens.influence_maps import estimates, picture
from transferlens.training import kept_maps


def main(arguments):
    settings = arguments.settings
    images = pipeline.open_images(
        arguments.val,
        index.read_index(arguments.index).val,
        InputSettings.of(settings["input"]),
        torch.device("cpu"),
    )
    _, pixels = images.pick(kept_maps.read_examples(arguments.shards))
    estimates.write_influence_maps(
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
    picture.draw(arguments.out, arguments.picture, settings["shown"])


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
