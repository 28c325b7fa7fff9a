"""Count how often full-source models put the target's training images into each source class."""

from argparse import Namespace

from transferlens.core import job
from transferlens.core.settings import ArchitectureSettings, InputSettings
from transferlens.counterfactual import label_mapping
from transferlens.data import index, pipeline
from transferlens.training import device


def main(arguments: Namespace) -> None:
    settings, target = arguments.settings, index.read_index(arguments.index)
    images = InputSettings.read(settings["input"])
    label_mapping.write_label_mapping(
        arguments.mapping,
        arguments.source,
        pipeline.open_images(arguments.train, target.train, images, device.pick()),
        ArchitectureSettings.read(settings["architecture"]),
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("source", "shards of the reference study", many=True)
    script.reads("index", "of the target data set")
    script.reads("train")
    script.writes("mapping")
    script.run(main)
