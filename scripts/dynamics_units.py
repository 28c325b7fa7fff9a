"""Look at single units along the way of an adaptation: where, when and how much their maps change."""

from argparse import Namespace
from functools import partial

from transferlens.core import files, job
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.dynamics.units import passes, pictures, probes, tables
from transferlens.dynamics.units.passes import Asked
from transferlens.training import device, networks


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    val = index.read_index(arguments.index).val
    images = pipeline.open_images(arguments.val, val, InputSettings.read(settings["input"]), place)
    kept = partial(
        networks.kept_networks,
        arguments.source,
        arguments.trajectories,
        NetworkSettings.read(settings["architecture"]),
        place,
        0,  # the first repeat of the models that saw all of the source
    )
    passes.write_units(
        arguments.units,
        kept,
        probes.draw(images, settings["images"], settings["seed"]),
        Asked(*(settings[name] for name in ("layers", "shown", "top", "smallest_side", "seed"))),
    )
    files.write_csv(arguments.table, tables.table(arguments.units))
    pictures.draw_curves(arguments.units, [arguments.unit_curves, arguments.unit_curves_png])
    pictures.draw_filters(arguments.units, [arguments.unit_filters, arguments.unit_filters_png])
    pictures.draw_strips(arguments.units, arguments.strips)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("source", "shard of source models that holds the first one")
    script.reads("trajectories", "networks along the way, of the same shard")
    script.reads("index", "of the target data set")
    script.reads("val")
    script.writes("units")
    script.writes("table", "means over the units of a layer")
    for name in ("unit_curves", "unit_filters"):
        script.writes(name)
        script.writes(f"{name}_png")
    script.writes("strips")
    script.run(main)
