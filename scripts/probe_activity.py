"""Look at networks along the way of their adaptation: what every layer makes of fixed probe images."""

from argparse import Namespace

from transferlens.core import job
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.dynamics.activity import measured, probes
from transferlens.dynamics.settings import ProbeSettings
from transferlens.training import device


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    dataset = index.read_index(arguments.index)
    images = pipeline.open_images(arguments.val, dataset.val, InputSettings.read(settings["input"]), place)
    given = ProbeSettings.read(settings["probe"])
    probe = probes.draw(images, given, settings["seed"], settings["dataset"])
    measured.write_activity(
        arguments.activity,
        arguments.source,
        arguments.trajectories,
        NetworkSettings.read(settings["architecture"]),
        measured.Asked(settings["layers"], probe, dataset.class_names, settings["is_target"]),
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("source", "shard of source models")
    script.reads("trajectories", "networks along the way, of the same shard")
    script.reads("index", "of the probe's data set")
    script.reads("val")
    script.writes("activity")
    script.run(main)
