"""Count how often full-source models put the target's training images into each source class."""

from pathlib import Path

from transferlens.core import job
from transferlens.core.settings import ArchitectureSettings, InputSettings
from transferlens.counterfactual import label_mapping
from transferlens.data import index, pipeline
from transferlens.training import device


def main(arguments):
    settings = arguments.settings
    target = index.read_index(arguments.index)
    images = InputSettings.read(settings["input"])
    label_mapping.write_label_mapping(
        arguments.out,
        arguments.source,
        pipeline.open_images(arguments.train, target.train, images, device.pick()),
        ArchitectureSettings.read(settings["architecture"]),
        config=settings,
        inputs=[*arguments.source, arguments.index, arguments.train.with_suffix(".h5")],
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="shards of the reference study")
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
