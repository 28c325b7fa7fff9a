"""Paste target images on images of source classes, and record what every model makes of them."""

from pathlib import Path

from transferlens.core import job
from transferlens.core.config import InputSettings
from transferlens.data import index, pipeline
from transferlens.memories import pairs
from transferlens.memories.effect import composites
from transferlens.memories.kept import observations, probes
from transferlens.training import device


def main(arguments):
    settings, place = arguments.settings, device.pick()
    found = probes.read_probes(arguments.probes)
    reason = composites.too_small(settings["input"]["resolution"], settings["composites"])
    if reason:
        job.log.warning("%s: no composites are made: %s", arguments.out, reason)
        made = composites.none_made(found, settings["models"], reason)
    else:
        made = try_composites(arguments, settings, found, place)
    composites.write_composites(
        arguments.out,
        made,
        config=settings,
        inputs=[*pairs.files_of(arguments), arguments.probes, arguments.first_probes],
        device=device.name(place),
    )


def try_composites(arguments, settings, found, place):
    seed, made_as = settings["seed"], settings["composites"]
    source, target = (index.read_index(path) for path in (arguments.source_index, arguments.index))
    inputs = [InputSettings.of(settings[key]) for key in ("source_input", "input")]
    chosen = composites.choose(
        probes.read_probes(arguments.first_probes), settings["strongest"], settings["random"], seed
    )
    drawn = composites.draw(
        chosen.classes, found.overlap, source.val, target.val, inputs[1].resolution, made_as, seed
    )
    return observations.of_composites(
        pairs.pairs_of(arguments, settings, place),
        found,
        chosen,
        drawn,
        pipeline.open_images(arguments.source_val, source.val, inputs[0], place),
        pipeline.open_images(arguments.val, target.val, inputs[1], place),
        made_as["scramble"],
        seed,
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    pairs.add_arguments(parser)
    parser.add_argument("--probes", type=Path, required=True)
    parser.add_argument("--first-probes", type=Path, required=True, help="those that choose source classes")
    parser.add_argument("--source-index", type=Path, required=True)
    parser.add_argument("--source-val", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
