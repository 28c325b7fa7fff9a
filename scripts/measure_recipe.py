"""Measure adapted models: answers, what they retain of the source, corrupted images, how far they moved."""

from argparse import Namespace

from transferlens.comparison.measures import command_line, measured
from transferlens.core import job
from transferlens.training import device


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    source = settings["source_input"] and command_line.reported(
        arguments.source_index, arguments.source_val, settings["source_input"], place
    )
    measured.write_measures(
        arguments.measures,
        command_line.adapted(arguments, place),
        arguments.transfers,
        settings["rows"],
        command_line.reported(arguments.index, arguments.val, settings["input"], place),
        source,
        settings["corruptions"],
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("sources", "shards of source models", many=True)
    script.reads("transfers", "their transfer runs", many=True)
    script.reads("index", "of the target")
    script.reads("val")
    script.reads("source_index", "for models that saw the source", required=False)
    script.reads("source_val", required=False)
    script.writes("measures")
    script.run(main)
