"""Look at networks along the way of their adaptation: what every layer makes of fixed probe images."""

from argparse import Namespace

from transferlens.core import job
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.dynamics.activity import measured, probes
from transferlens.training import device


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    dataset = index.read_index(arguments.index)
    images = pipeline.open_images(arguments.val, dataset.val, InputSettings.read(settings["input"]), place)
    probe = probes.draw(images, settings["probe"]["images"], settings["probe"]["batch"], settings["seed"])
    measured.write_activity(
        arguments.activity,
        arguments.source,
        arguments.trajectories,
        NetworkSettings.read(settings["architecture"]),
        measured.Asked(settings["layers"], probe, settings["rows"], settings["is_target"]),
        dataset.class_names,
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("source", "shard of source models")
    script.reads("trajectories", "networks along the way, of the same shard")
    script.reads("index", "of the probe's data set")
    script.reads("val")
    script.writes("activity")
    script.run(main)
