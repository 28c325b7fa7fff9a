"""Figures, tables and checks of the influences on one target by one recipe."""

from argparse import Namespace

import pandas as pd

from transferlens.core import files, job, labelled
from transferlens.core.checks import COLUMNS
from transferlens.influence import checks, figures, tables
from transferlens.influence.artefacts import INFLUENCE, SCORES
from transferlens.pictures.figures import save


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    influence = labelled.read(arguments.influence, INFLUENCE, settings["output"])
    scores = labelled.read(arguments.score, SCORES)
    rows = [check.row() for check in checks.run_checks(influence)]
    for path, table in (
        (arguments.class_influence, tables.class_table(influence)),
        (arguments.overall_influence, tables.overall_table(influence)),
        (arguments.scores, tables.score_table(scores)),
        (arguments.checks, pd.DataFrame(rows, columns=COLUMNS)),
    ):
        files.write_csv(path, table)
    for name, figure in {
        "influence_matrix": figures.influence_matrix(influence),
        "strongest_classes": figures.strongest_classes(influence, settings["top_classes"]),
        "convergence": figures.convergence(scores),
    }.items():
        for path in (getattr(arguments, name), getattr(arguments, f"{name}_png")):
            save(figure, path, dpi=150)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("influence")
    script.reads("score", "how good the influences are")
    for name in ("influence_matrix", "strongest_classes", "convergence"):
        script.writes(name)
        script.writes(f"{name}_png")
    for name in ("class_influence", "overall_influence", "scores", "checks"):
        script.writes(name)
    script.run(main)
