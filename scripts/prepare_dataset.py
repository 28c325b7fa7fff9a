"""Index a data set: choose, check and divide its images."""

from argparse import Namespace

from transferlens.core import job
from transferlens.core.settings import DatasetSettings
from transferlens.data import index_making, sources


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    dataset = DatasetSettings.read(settings["dataset"])
    images = sources.open_image_set(settings["name"], dataset, **sources.arguments_of(arguments))
    made, skipped = index_making.make_index(settings["name"], images, dataset, settings["seed"])
    for example_id in skipped:
        job.log.warning("%s: left out, cannot be decoded", example_id)
    index_making.write_index(arguments.index, settings["name"], made, skipped)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("groups", "the table of groups that the settings name", required=False)
    script.writes("index")
    sources.add_arguments(script.parser)
    script.run(main)
