"""Do models that saw a source class lose more to it, and are bound more to it, than models that did not?"""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from transferlens.core import files, job
from transferlens.core.settings import ArchitectureSettings, InputSettings
from transferlens.data import index, pipeline
from transferlens.memories.effect import composites
from transferlens.memories.effect.composites import Composites
from transferlens.memories.kept import observations, probes
from transferlens.memories.kept.probes import Probes
from transferlens.memories.retraining import left_out
from transferlens.memories.retraining.retrained import LeftOut, rows_without
from transferlens.memories.seen import answers, figure, levels, natural, stored
from transferlens.memories.seen.answers import Asked
from transferlens.memories.seen.estimate import Measured
from transferlens.memories.seen.stored import Compared
from transferlens.training import device, networks

_NONE = "no composites have one of these classes behind"


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    probed, tried = probes.read_probes(arguments.probes), composites.read_composites(arguments.composites)
    rows = networks.study_rows(arguments.sources)
    found = rows_without(rows)
    asked = ask(arguments, settings, place, probed, tried, found.classes)
    count = found.models.size
    models = networks.adapted_networks(
        arguments.sources,
        arguments.transfers,
        ArchitectureSettings.read(settings["architecture"]),
        place,
        rows.numbers[found.models.T.ravel()],
    )
    measured = answers.of_repeats(job.progress(models, "seen and unseen", "models", count), asked)
    scratch = {
        **levels.of_composites(tried, found.classes, probed.bound_class),
        "binding": levels.of_binding(probed, found.classes),
    }
    of_natural = compare_natural(arguments, found, probed.source_names, settings["models"])
    distraction = left_out.distraction_of_classes(arguments.interference, arguments.probes)
    compared = Compared(
        [probed.source_names[c] for c in found.classes],
        left_out.groups_of(found.kinds, distraction[found.classes]),
        [probed.target_names[j] for j in probed.bound_class[found.classes]],
        found.models.shape[1],
        measured | of_natural[0],
        scratch | of_natural[1],
        "" if asked.try_composites else tried.skipped or _NONE,
    )
    stored.write(arguments.seen, compared)
    files.write_csv(arguments.table, stored.table(arguments.seen))
    figure.draw(arguments.seen, arguments.picture)


def ask(
    arguments: Namespace,
    settings: Mapping[str, Any],
    place: torch.device,
    probed: Probes,
    tried: Composites,
    classes: np.ndarray,
) -> Asked:
    """The composites and source images that every model is shown."""
    source, target = (index.read_index(path) for path in (arguments.source_index, arguments.index))
    inputs = [InputSettings.read(settings[key]) for key in ("source_input", "input")]
    images = pipeline.open_images(arguments.source_val, source.val, inputs[0], place)
    table = composites.some(tried.table, answers.composites_of(tried.table, classes, probed.bound_class))
    trial = None
    if len(table):
        targets = pipeline.open_images(arguments.val, target.val, inputs[1], place)
        trial = observations.trial(table, images, targets, settings["scramble"], settings["seed"])
    return Asked(classes, probed.bound_class, images, table, trial)


def compare_natural(
    arguments: Namespace, found: LeftOut, source_names: list[str], pairs: int
) -> tuple[dict[str, Measured], dict[str, np.ndarray]]:
    """Natural images whose memory was left out, under models with and without it, and from scratch."""
    examples, places = natural.examples_of(arguments.ranking, found.classes, source_names)
    return (
        natural.compare(arguments.without, found, examples, places),
        natural.scratch(arguments.reference, pairs, examples, places, len(found.classes)),
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("sources", "shards of models without a class, in order", many=True)
    script.reads("transfers", "their transfer runs", many=True)
    script.reads("without", "their summary")
    script.reads("reference", "summary of the full-source models and those from scratch")
    script.reads("probes")
    script.reads("composites")
    script.reads("interference")
    script.reads("ranking")
    script.reads("source_index")
    script.reads("source_val")
    script.reads("index", "of the target data set")
    script.reads("val")
    script.writes("seen")
    script.writes("table")
    script.writes("picture")
    script.run(main)
