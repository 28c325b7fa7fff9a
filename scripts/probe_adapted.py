"""Fit fresh linear probes on the features of adapted models, as was done before they were adapted."""

from argparse import Namespace

from transferlens.comparison.measures import command_line, probes
from transferlens.comparison.measures.artefacts import PROBES_AFTER
from transferlens.core import job
from transferlens.training import device


def main(arguments: Namespace) -> None:
    place = device.pick()
    models = (model.network for model in command_line.adapted(arguments, place))
    probe = command_line.probe_of(arguments, place)
    probes.write_probes(arguments.probes, PROBES_AFTER, models, arguments.settings["rows"], probe)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("sources", "shards of source models", many=True)
    script.reads("transfers", "their transfer runs", many=True)
    script.reads("index", "of the data set")
    script.reads("train")
    script.reads("val")
    script.writes("probes")
    script.run(main)
