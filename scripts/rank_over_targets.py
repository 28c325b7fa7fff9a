"""Rank transferability scores over all targets of a recipe."""

from argparse import Namespace

from transferlens.core import job, labelled
from transferlens.core.files import write_csv
from transferlens.transferability import files
from transferlens.transferability.artefacts import OVER_TARGETS


def main(arguments: Namespace) -> None:
    targets = arguments.settings["targets"]
    rankings = [
        files.read_ranking(path, name) for path, name in zip(arguments.rankings, targets, strict=True)
    ]
    files.write_over_targets(arguments.ranking, rankings, arguments.settings["seed"])
    write_csv(arguments.table, files.table(labelled.read(arguments.ranking, OVER_TARGETS)))


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("rankings", "of each target", many=True)
    script.writes("ranking")
    script.writes("table")
    script.run(main)
