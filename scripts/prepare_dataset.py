"""Index a data set: choose, check and divide its images."""

from pathlib import Path

from transferlens.core import job
from transferlens.core.config import DatasetSettings
from transferlens.data import index, sources


def main(arguments):
    settings = arguments.settings
    dataset = DatasetSettings.of(settings["dataset"])
    images = sources.open_image_set(settings["name"], dataset, **sources.arguments_of(arguments))
    made, skipped = index.make_index(settings["name"], images, dataset, settings["seed"])
    for example_id in skipped:
        job.log.warning("%s: left out, cannot be decoded", example_id)
    index.write_index(arguments.out, made, skipped, config=settings, seed=settings["seed"])


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--out", type=Path, required=True)
    sources.add_arguments(parser)
    job.run(main, parser)
