"""Train models by the chosen settings, and try them on the report half after every epoch, as papers do."""

from argparse import Namespace

from transferlens.comparison.tuning import published
from transferlens.comparison.tuning.choice import chosen
from transferlens.comparison.tuning.part import Part
from transferlens.core import job
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.data.artefacts import HALVES
from transferlens.training import device, resumption, transfer
from transferlens.training.recipes import kinds as recipes


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    target, images = index.read_index(arguments.index), InputSettings.read(settings["input"])
    recipe = chosen({"choice": arguments.choice}, recipes.read(settings["recipe"], "recipe"))
    train, val = (
        pipeline.open_images(beton, examples, images, place)
        for beton, examples in ((arguments.train, target.train), (arguments.val, target.val))
    )
    report = Part(val, target.val.halves == HALVES.index("report"))
    published.as_published(
        arguments.published,
        transfer.starts(arguments.sources, NetworkSettings.read(settings["architecture"]), settings["rows"]),
        settings["rows"],
        train,
        published.ReportHalf(report, len(target.class_names), settings["metric"]),
        recipe,
        resumption.progress(
            arguments.published,
            arguments.resume_minutes,
            "try_published_protocol.py",
            recipes.KINDS[recipe.kind].code,
        ),
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("sources", "shards of source models", many=True)
    script.reads("choice", "of the recipe's settings")
    script.reads("index", "of the target data set")
    script.reads("train")
    script.reads("val")
    script.takes("resume_minutes", type=float, help="between two times that a run in progress is kept")
    script.writes("published")
    script.run(main)
