"""Keep what the models of a shard, or their adaptations to a target, make of a split before their heads."""

from argparse import Namespace

from transferlens.core import job
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.training import device, features


def main(arguments: Namespace) -> None:
    settings, dataset = arguments.settings, index.read_index(arguments.index)
    images = pipeline.open_images(
        arguments.images,
        dataset.split(settings["split"]),
        InputSettings.read(settings["input"]),
        device.pick(),
    )
    architecture = NetworkSettings.read(settings["architecture"])
    if arguments.transfer is None:
        features.write_features(
            arguments.features, arguments.source, images, dataset.class_names, architecture
        )
    else:
        features.write_adapted_features(
            arguments.features,
            arguments.source,
            arguments.transfer,
            images,
            dataset.class_names,
            architecture,
        )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("source", "shard of source models")
    script.reads("transfer", "its transfer runs, for the features of adapted models", required=False)
    script.reads("index", "of the data set")
    script.reads("images", "of one of its splits")
    script.writes("features")
    script.run(main)
