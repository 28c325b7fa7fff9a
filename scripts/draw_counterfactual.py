"""Figures, tables and checks of counterfactual retraining on one target by one recipe."""

from argparse import Namespace

import pandas as pd
import xarray as xr

from transferlens.core import files, job, labelled
from transferlens.core.checks import COLUMNS
from transferlens.counterfactual import checks, figures, tables
from transferlens.counterfactual.artefacts import COUNTERFACTUAL, REUSE
from transferlens.pictures.figures import save


def main(arguments: Namespace) -> None:
    if arguments.reuse:
        draw_curves(labelled.read(arguments.reuse, REUSE), arguments)
        return
    counterfactual = labelled.read(arguments.counterfactual, COUNTERFACTUAL)
    draw_curves(counterfactual, arguments)
    output = arguments.settings["output"]
    for drawn, paths in (
        (
            figures.single_removals(counterfactual, output),
            (arguments.single_removals, arguments.single_removals_png),
        ),
        (figures.random_sets(counterfactual, output), (arguments.random_sets, arguments.random_sets_png)),
    ):
        for path in paths:
            save(drawn, path, dpi=150)
    rows = [check.row() for check in checks.run_checks(counterfactual)]
    for path, table in (
        (arguments.curves_table, tables.counterfactual_table(counterfactual)),
        (arguments.chosen_k, tables.choice_table(counterfactual)),
        (arguments.singles_table, tables.single_table(counterfactual)),
        (arguments.random_sets_table, tables.random_set_table(counterfactual)),
        (arguments.checks, pd.DataFrame(rows, columns=COLUMNS)),
    ):
        files.write_csv(path, table)


def draw_curves(counterfactual: xr.Dataset, arguments: Namespace) -> None:
    """Accuracy by the number of removed classes, as SVG and as PNG."""
    drawn = figures.curves(counterfactual)
    for path in (arguments.curves, arguments.curves_png):
        save(drawn, path, dpi=150)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("counterfactual", required=False)
    script.reads("reuse", "in its place, for another architecture or recipe: curves only", required=False)
    script.writes("curves")
    script.writes("curves_png")
    for name in ("single_removals", "single_removals_png", "random_sets", "random_sets_png"):
        script.writes(name, required=False)
    for name in ("curves_table", "chosen_k", "singles_table", "random_sets_table", "checks"):
        script.writes(name, required=False)
    script.run(main)
