"""Compare influences and accuracies between a target and its parts with fewer training images."""

from argparse import Namespace

from transferlens.analyses import small_targets
from transferlens.core import files, job, labelled
from transferlens.data import index
from transferlens.influence.artefacts import INFLUENCE
from transferlens.training.reading import read_outputs


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    names = settings["targets"]
    influences = [labelled.read(path, INFLUENCE, settings["output"]) for path in arguments.influences]
    references = [read_outputs(path, []) for path in arguments.references]
    sizes = [len(index.read_index(path).train) for path in arguments.indexes]
    table = small_targets.compare(
        dict(zip(names, sizes, strict=True)),
        dict(zip(names, influences, strict=True)),
        dict(zip(names, references, strict=True)),
        names[0],
    )
    small_targets.write_small_targets(arguments.small_targets, table)
    small_targets.draw(table, arguments.picture)
    files.write_csv(arguments.table, table)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("influences", "on the target and its parts, as settings name them", many=True)
    script.reads("references", "summaries of the reference study on them", many=True)
    script.reads("indexes", "of these data sets", many=True)
    script.writes("small_targets")
    script.writes("table")
    script.writes("picture")
    script.run(main)
