"""Ask models that saw random halves of the source about target images pasted on images of its classes."""

from argparse import Namespace

import numpy as np

from transferlens.comparison.harm import composites
from transferlens.comparison.settings import CompositeSettings
from transferlens.core import job
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.data.pasting import Composed
from transferlens.data.units import unit_of_class
from transferlens.training import device, networks


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    given, resolution = CompositeSettings.read(settings["composites"]), settings["input"]["resolution"]
    rows = networks.study_rows(arguments.sources)
    if reason := composites.too_small(resolution, given):
        job.log.warning("%s: no composites are made: %s", arguments.answers, reason)
        composites.write_none(arguments.answers, rows.numbers, reason)
        return
    source, target = (index.read_index(path) for path in (arguments.source_index, arguments.index))
    place, inputs = device.pick(), [InputSettings.read(settings[key]) for key in ("source_input", "input")]
    drawn = composites.draw(source, target, resolution, given, settings["seed"])
    made = Composed(
        drawn,
        pipeline.open_images(arguments.source_val, source.val, inputs[0], place),
        pipeline.open_images(arguments.val, target.val, inputs[1], place),
        composites.CONTROLS,
        "blocks",
        settings["seed"],
    )
    architecture = NetworkSettings.read(settings["architecture"])
    models = networks.adapted_networks(arguments.sources, arguments.transfers, architecture, place)
    answers = {
        "model": rows.numbers,
        "mask": rows.masks[:, unit_of_class(rows.unit_names, source)[drawn.source_class]],
        "drop": np.stack(
            [
                composites.drops(model.network, drawn, made)
                for model in job.progress(models, "composites", "models", len(rows))
            ]
        ),
    }
    composites.write(arguments.answers, drawn, source, target, answers)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("sources", "shards of source models, in order", many=True)
    script.reads("transfers", "their transfer runs", many=True)
    script.reads("source_index")
    script.reads("source_val")
    script.reads("index", "of the target data set")
    script.reads("val")
    script.writes("answers")
    script.run(main)
