"""Choose the settings of a recipe by its trials."""

from argparse import Namespace

from transferlens.comparison.tuning import choice
from transferlens.core import job


def main(arguments: Namespace) -> None:
    choice.choose(arguments.choice, arguments.trials)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("trials", "of all parts", many=True)
    script.writes("choice")
    script.run(main)
