"""Which source classes fine-tuned models still recognise, and the target classes these are bound to."""

from pathlib import Path

from transferlens.core import job
from transferlens.core.config import InputSettings
from transferlens.data import index, pipeline
from transferlens.memories import overlap, pairs
from transferlens.memories.kept import observations, probes
from transferlens.training import device

FROZEN = "the recipe keeps the source's features: retention is 1 by construction"


def main(arguments):
    settings = arguments.settings
    source, target = (index.read_index(path) for path in (arguments.source_index, arguments.index))
    names = source.class_names, target.class_names
    same = overlap.read_overlap(settings["overlap"], arguments.overlap, *names)
    place = device.pick()
    images = InputSettings.of(settings["source_input"])
    found = observations.of_source_images(
        pairs.pairs_of(arguments, settings, place),
        pipeline.open_images(arguments.source_val, source.val, images, place),
        settings["models"],
    )
    of_images = (source.val.labels, source.val.halves, same)
    chances = (settings["bootstrap"], settings["permutations"], settings["seed"])
    frozen = settings["kind"] == "fixed" and settings["batchnorm"] == "eval"
    probes.write_probes(
        arguments.out,
        probes.summarise(found, *names, *of_images, *chances),
        FROZEN if frozen else "",
        config=settings,
        inputs=[*pairs.files_of(arguments), arguments.source_index, arguments.index],
        device=device.name(place),
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    pairs.add_arguments(parser)
    parser.add_argument("--overlap", type=Path, help="table of source and target classes that mean the same")
    parser.add_argument("--source-index", type=Path, required=True)
    parser.add_argument("--source-val", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
