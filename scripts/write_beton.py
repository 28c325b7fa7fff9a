"""Write one split of a data set as an FFCV file, with its manifest."""

import os
from pathlib import Path

from transferlens.core import job
from transferlens.core.config import DatasetSettings
from transferlens.data import ffcv_files, index, sources


def main(arguments):
    settings = arguments.settings
    dataset = DatasetSettings.of(settings["dataset"])
    images = sources.open_image_set(settings["name"], dataset, **sources.arguments_of(arguments))
    examples = index.read_index(arguments.index).split(settings["split"])
    workers = int(os.environ.get("OMP_NUM_THREADS", 1))
    split = getattr(images, settings["split"])
    ffcv_files.write_beton(arguments.out, split, examples, dataset, workers)
    ffcv_files.write_manifest(
        arguments.manifest,
        arguments.out,
        len(examples),
        config=settings,
        inputs=[arguments.index],
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--manifest", type=Path, required=True)
    sources.add_arguments(parser)
    job.run(main, parser)
