"""Fit fresh linear probes on the features of source models, before these are adapted."""

from argparse import Namespace

from transferlens.comparison.measures import command_line, probes
from transferlens.comparison.measures.artefacts import SOURCE_PROBES
from transferlens.core import job
from transferlens.core.settings import NetworkSettings
from transferlens.training import device, networks


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    architecture, rows = NetworkSettings.read(settings["architecture"]), settings["rows"]
    models = networks.source_networks(arguments.sources, architecture, place, rows)
    probe = command_line.probe_of(arguments, place)
    probes.write_probes(arguments.probes, SOURCE_PROBES, models, rows, probe)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("sources", "shards of source models", many=True)
    script.reads("index", "of the data set")
    script.reads("train")
    script.reads("val")
    script.writes("probes")
    script.run(main)
