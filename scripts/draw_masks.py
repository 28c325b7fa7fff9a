"""Draw one shard of a study's masks: which units of the source each of its models is trained on."""

from pathlib import Path

import numpy as np

from transferlens.core import job, studies
from transferlens.counterfactual import orders
from transferlens.data import index, units
from transferlens.data.index import HALVES
from transferlens.estimation import designs
from transferlens.memories.retraining import left_out


def main(arguments):
    settings = arguments.settings
    source = index.read_index(arguments.index)
    chosen = make_units(source, settings["units"])
    rows, seed, study = range(*settings["rows"]), settings["seed"], settings["study"]
    evidence = (arguments.influence, arguments.mapping, arguments.interference, arguments.probes)
    inputs = [arguments.index, *filter(None, evidence)]
    if "design" in settings:
        table = designs.random_rows(study, settings["design"], settings["keep"], chosen, rows, seed)
    elif "orders" in settings:
        table = orders.counterfactual_rows(
            orders.Removals.of(settings),
            read_evidence(arguments, settings["output"], source, chosen),
            chosen.names,
            chosen.groups,
            rows,
            seed,
        )
    elif "without" in settings:
        distraction = left_out.distraction_of_classes(arguments.interference, arguments.probes)
        classes = left_out.left_out_classes(distraction, settings["without"], seed)
        table = left_out.without_rows(classes, chosen.names, chosen.groups, rows, seed)
    elif study == "pretrained":
        table = studies.pretrained_rows(chosen)
    else:
        table = studies.reference_rows(chosen, rows, seed)
    studies.write_rows(arguments.out, table, chosen, config=settings, seed=seed, inputs=inputs)


def make_units(source, kind):
    """Source classes, the data set's groups of them, or blocks of so many images."""
    if kind == "classes":
        return units.class_units(source)
    return units.group_units(source) if kind == "groups" else units.block_units(source, kind)


def read_evidence(arguments, output, source, chosen):
    """What orders of removal go by, from the influence and label mapping files."""
    from transferlens.influence import artefact

    effect = artefact.read_overall(arguments.influence, output)["effect"]
    mapped = None
    if arguments.mapping:
        from transferlens.counterfactual import label_mapping

        unit_of_class = np.zeros(len(source.class_names), int)
        unit_of_class[source.train.labels] = chosen.of_images
        mapped = np.bincount(
            unit_of_class, label_mapping.read_label_mapping(arguments.mapping), len(chosen.names)
        )
    images = np.bincount(chosen.of_images, minlength=len(chosen.names))
    return orders.Evidence(effect[HALVES.index("select")], images, mapped)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--index", type=Path, required=True, help="of the source data set")
    parser.add_argument("--influence", type=Path, help="ranks the units (counterfactual studies)")
    parser.add_argument("--mapping", type=Path, help="label mapping (counterfactual order label_mapping)")
    parser.add_argument("--interference", type=Path, help="of memories (studies without one of them)")
    parser.add_argument("--probes", type=Path, help="of memories, likewise")
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
