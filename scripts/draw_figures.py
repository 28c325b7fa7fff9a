"""Figures and tables of one target and recipe."""

from pathlib import Path

import pandas as pd

from transferlens import open_results
from transferlens.core import job, store
from transferlens.counterfactual import checks as counterfactual_checks
from transferlens.counterfactual import figures as counterfactual_figures
from transferlens.counterfactual import tables as counterfactual_tables
from transferlens.influence import checks, figures, tables
from transferlens.pictures.figures import save


def main(arguments):
    settings, folder = arguments.settings, arguments.out
    results = open_results(arguments.results)
    influence = results.influence(settings["target"], settings["recipe"], settings["output"])
    counterfactual = results.counterfactual(settings["target"], settings["recipe"])
    scores = results.scores(settings["target"], settings["recipe"])
    made = [*counterfactual_checks.run_checks(counterfactual), *checks.run_checks(influence)]
    for name, table in {
        "class_influence": tables.class_table(influence),
        "overall_influence": tables.overall_table(influence),
        "counterfactual": counterfactual_tables.counterfactual_table(counterfactual),
        "chosen_k": counterfactual_tables.choice_table(counterfactual),
        "single_removals": counterfactual_tables.single_table(counterfactual),
        "scores": tables.score_table(scores),
        "checks": pd.DataFrame([check.row() for check in made]),
    }.items():
        store.write_csv(folder / f"{name}.csv", table)
    drawn = {
        "influence_matrix": figures.influence_matrix(influence),
        "strongest_classes": figures.strongest_classes(influence, settings["top_classes"]),
        "counterfactual_curves": counterfactual_figures.curves(counterfactual),
        "convergence": figures.convergence(scores),
    }
    if "removed_class" in counterfactual.coords:
        drawn["single_removals"] = counterfactual_figures.single_removals(counterfactual, settings["output"])
    if settings["reuse"]:
        reused = results.reuse(settings["target"], settings["recipe"])
        drawn["reuse"] = counterfactual_figures.curves(reused)
    for name, figure in drawn.items():
        for suffix in ("svg", "png"):
            save(figure, folder / f"{name}.{suffix}", dpi=150)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    job.run(main, parser)
