"""Do models that saw a source class lose more to it, and bind it more, than models that did not?"""

from argparse import Namespace
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core import files, job
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.core.studies import FULL
from transferlens.data import index, pipeline
from transferlens.data.pipeline import Images
from transferlens.memories.effect import composites
from transferlens.memories.effect.composites import Composites
from transferlens.memories.kept import observations, probes
from transferlens.memories.kept.probes import Probes
from transferlens.memories.retraining import left_out
from transferlens.memories.retraining.retrained import rows_without
from transferlens.memories.seen import answers, figure, levels, natural, stored
from transferlens.memories.seen.answers import Asked
from transferlens.memories.seen.stored import Compared
from transferlens.training import device, networks
from transferlens.training.networks import Adapted

_NO_COMPOSITES = "no composites have one of these classes behind"


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    probed, tried = probes.read_probes(arguments.probes), composites.read_composites(arguments.composites)
    rows = networks.study_rows(arguments.sources)
    found = rows_without(rows)
    source, target = images_of(arguments, settings)
    asked = ask(settings, probed, tried, source, target, found.classes)
    models = adapted(
        arguments.sources, arguments.transfers, settings, source, rows.numbers[found.models.T.ravel()]
    )
    measured = answers.of_repeats(job.progress(models, "seen and unseen", "models", found.models.size), asked)
    scratch = levels.of_composites(tried, found.classes, probed.bound_class)
    scratch["binding"] = levels.of_binding(probed, found.classes)
    if choosing := choosing_models(arguments, settings, source):
        examples, places = natural.choose(choosing, probed, source, target, found.classes)
        measured |= natural.compare(arguments.without, found, examples, places)
        pairs, classes = settings["models"], len(found.classes)
        scratch |= natural.scratch(arguments.reference, pairs, examples, places, classes)
    distraction = left_out.distraction_of_classes(arguments.interference, arguments.probes)
    compared = Compared(
        [probed.source_names[c] for c in found.classes],
        left_out.groups_of(found.kinds, distraction[found.classes]),
        [probed.target_names[j] for j in probed.bound_class[found.classes]],
        found.models.shape[1],
        measured,
        scratch,
        "" if asked.try_composites else tried.skipped or _NO_COMPOSITES,
    )
    stored.write(arguments.seen, compared)
    files.write_csv(arguments.table, stored.table(arguments.seen))
    figure.draw(arguments.seen, arguments.picture)


def images_of(arguments: Namespace, settings: Mapping[str, Any]) -> tuple[Images, Images]:
    """The evaluation images of source and target."""
    place, opened = device.pick(), []
    for prefix in ("source_", ""):
        examples = index.read_index(getattr(arguments, f"{prefix}index")).val
        given = InputSettings.read(settings[f"{prefix}input"])
        opened.append(pipeline.open_images(getattr(arguments, f"{prefix}val"), examples, given, place))
    return opened[0], opened[1]


def ask(
    settings: Mapping[str, Any],
    probed: Probes,
    tried: Composites,
    source: Images,
    target: Images,
    classes: np.ndarray,
) -> Asked:
    """The composites and source images that every model is shown."""
    table = tried.table.only(answers.composites_of(tried.table, classes, probed.bound_class))
    trial = None
    if len(table):
        trial = observations.trial(table, source, target, settings["scramble"], settings["seed"])
    return Asked(classes, probed.bound_class, source, table, trial)


def adapted(
    sources: Sequence[Path],
    transfers: Sequence[Path],
    settings: Mapping[str, Any],
    images: Images,
    numbers: np.ndarray,
) -> Iterator[Adapted]:
    """Adapted models by their row numbers, where the images are."""
    architecture = NetworkSettings.read(settings["architecture"])
    return networks.adapted_networks(sources, transfers, architecture, images.device, numbers.tolist())


def choosing_models(
    arguments: Namespace, settings: Mapping[str, Any], images: Images
) -> Iterator[Adapted] | None:
    """The full-source models after those that report, whose seeds no model without a class has; None if there
    are none.
    """
    rows = networks.study_rows(arguments.reference_sources)
    others = rows.of_role(FULL)[settings["models"] :]
    if not len(others):
        return None
    reference = arguments.reference_sources, arguments.reference_transfers
    return adapted(*reference, settings, images, rows.numbers[others])


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("sources", "shards of models without a class, in order", many=True)
    script.reads("transfers", "their transfer runs", many=True)
    script.reads("without", "their summary")
    script.reads("reference_sources", "reference shards, in order", many=True)
    script.reads("reference_transfers", "their transfer runs", many=True)
    script.reads("reference", "their summary")
    script.reads("probes")
    script.reads("composites")
    script.reads("interference")
    script.reads("source_index")
    script.reads("source_val")
    script.reads("index", "of the target data set")
    script.reads("val")
    script.writes("seen")
    script.writes("table")
    script.writes("picture")
    script.run(main)
