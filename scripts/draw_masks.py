"""Draw one shard of a study's masks: which source classes each of its models is trained on."""

from pathlib import Path

from transferlens import job, studies
from transferlens.counterfactual import orders
from transferlens.data import index
from transferlens.data.index import HALVES
from transferlens.influence import designs


def main(arguments):
    settings = arguments.settings
    classes = index.read_index(arguments.index).class_names
    rows, seed = range(*settings["rows"]), settings["seed"]
    inputs = [arguments.index]
    match settings["study"]:
        case "reference":
            table = studies.reference_rows(classes, rows, seed)
        case "influence":
            table = designs.influence_rows(settings["design"], settings["keep"], classes, rows, seed)
        case "pretrained":
            table = studies.pretrained_rows(classes)
        case _:
            # Only here: it imports torch, which takes longer than drawing the masks.
            from transferlens.influence import artefact

            influence = artefact.read_influence(arguments.influence, settings["output"])
            inputs.append(arguments.influence)
            table = orders.counterfactual_rows(
                influence.overall[HALVES.index("select")],
                classes,
                settings["orders"],
                settings["ks"],
                rows,
                seed,
            )
    studies.write_rows(arguments.out, table, config=settings, seed=seed, inputs=inputs)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--index", type=Path, required=True, help="of the source data set")
    parser.add_argument("--influence", type=Path, help="ranks the classes (counterfactual studies)")
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
