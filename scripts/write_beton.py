"""Write one split of a data set as an FFCV file, with its manifest."""

import os
from argparse import Namespace

from transferlens.core import job
from transferlens.core.settings import DatasetSettings
from transferlens.data import ffcv_writing, index, sources


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    dataset = DatasetSettings.read(settings["dataset"])
    images = sources.open_image_set(settings["name"], dataset, **sources.arguments_of(arguments))
    examples = index.read_index(arguments.index).split(settings["split"])
    workers = int(os.environ.get("OMP_NUM_THREADS", 1))
    split = getattr(images, settings["split"])
    ffcv_writing.write_beton(arguments.beton, split, examples, dataset, workers)
    ffcv_writing.write_manifest(arguments.manifest, arguments.beton, len(examples))


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("index")
    script.writes("beton")
    script.writes("manifest", "its size and checksum")
    sources.add_arguments(script.parser)
    script.run(main)
