"""Does a source class that is near a target class help it?"""

from argparse import Namespace

from transferlens.core import files, job, labelled
from transferlens.core.seeding import rng_for
from transferlens.influence.artefacts import INFLUENCE
from transferlens.relatedness import nearness
from transferlens.relatedness.artefacts import RELATEDNESS


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    relatedness = labelled.read(arguments.relatedness, RELATEDNESS)
    influence = labelled.read(arguments.influence, INFLUENCE, settings["output"])
    cells = nearness.cells_of(relatedness, influence)
    rng = rng_for(settings["seed"], "agreement of relatedness")
    nearness.write_reading(arguments.reading, relatedness, cells, settings["study"], rng)
    files.write_csv(arguments.table, nearness.table(cells))


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("relatedness")
    script.reads("influence")
    script.writes("reading")
    script.writes("table")
    script.run(main)
