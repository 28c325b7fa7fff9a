"""Draw how recipes compare by the number of training images of a target."""

from argparse import Namespace

from transferlens.comparison.compared import figures
from transferlens.comparison.compared.artefacts import COMPARISON
from transferlens.core import job, labelled
from transferlens.pictures.figures import save


def main(arguments: Namespace) -> None:
    made = [labelled.read(path, COMPARISON) for path in arguments.comparisons]
    save(figures.rates(made), arguments.picture)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("comparisons", "of the target and its parts, the smallest first", many=True)
    script.writes("picture")
    script.run(main)
