"""Which source classes fine-tuned models still recognise, and the target classes these are bound to."""

from argparse import Namespace

from transferlens.core import job
from transferlens.core.settings import InputSettings
from transferlens.data import index, pipeline
from transferlens.data.artefacts import HALVES
from transferlens.memories import overlap, pairs
from transferlens.memories.kept import observations, probes
from transferlens.training import device

FROZEN = "the recipe keeps the source's features: retention is 1 by construction"


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    source, target = (index.read_index(path) for path in (arguments.source_index, arguments.index))
    names = source.class_names, target.class_names
    same = overlap.read_overlap(settings["overlap"], arguments.overlap, *names)
    place = device.pick()
    images = InputSettings.read(settings["source_input"])
    evaluated = pipeline.open_images(arguments.source_val, source.val, images, place)
    repeats = {half: pairs.repeats_of(half, settings) for half in HALVES}
    observed = {
        half: observations.of_source_images(
            pairs.pairs_of(arguments, settings, place, half), evaluated, half, len(repeats[half])
        )
        for half in HALVES
    }
    labels = {half: source.val.labels[observations.of_half(source.val, half)] for half in HALVES}
    found = probes.summarise(observed, repeats, *names, labels, same)
    probes.write_probes(arguments.probes, found, FROZEN if settings["frozen"] else "")


if __name__ == "__main__":
    script = job.Script(__doc__)
    pairs.add_arguments(script)
    script.reads("overlap", "table of source and target classes that mean the same", required=False)
    script.reads("source_index")
    script.reads("source_val")
    script.reads("index", "of the target data set")
    script.writes("probes")
    script.run(main)
