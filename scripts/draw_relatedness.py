"""Figures of the bounds of one reference, target and study."""

from argparse import Namespace

from transferlens.core import job, labelled
from transferlens.pictures.figures import save
from transferlens.relatedness import figures
from transferlens.relatedness.artefacts import RELATEDNESS

_FIGURES = ("bounds", "models", "taus", "classes", "trace")


def main(arguments: Namespace) -> None:
    made = labelled.read(arguments.relatedness, RELATEDNESS)
    for name in _FIGURES:
        save(getattr(figures, name)(made), getattr(arguments, name))


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("relatedness")
    for name in _FIGURES:
        script.writes(name)
    script.run(main)
