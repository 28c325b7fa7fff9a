"""Figures and tables of one target and recipe."""

from pathlib import Path

from transferlens import open_results
from transferlens.core import job, store
from transferlens.report import checks, figures, tables


def main(arguments):
    settings, folder = arguments.settings, arguments.out
    results = open_results(arguments.results)
    influence = results.influence(settings["target"], settings["recipe"], settings["output"])
    counterfactual = results.counterfactual(settings["target"], settings["recipe"])
    scores = results.scores(settings["target"], settings["recipe"])
    found = checks.run_checks(influence, counterfactual)
    for name, table in {
        "class_influence": tables.class_table(influence),
        "overall_influence": tables.overall_table(influence),
        "counterfactual": tables.counterfactual_table(counterfactual),
        "chosen_k": tables.choice_table(counterfactual),
        "single_removals": tables.single_table(counterfactual),
        "scores": tables.score_table(scores),
        "checks": tables.check_table(found),
    }.items():
        store.write_csv(folder / f"{name}.csv", table)
    figures.save(figures.influence_matrix(influence), folder, "influence_matrix")
    figures.save(figures.strongest_classes(influence, settings["top_classes"]), folder, "strongest_classes")
    figures.save(figures.counterfactual_curves(counterfactual), folder, "counterfactual_curves")
    figures.save(figures.convergence(scores), folder, "convergence")
    if "removed_class" in counterfactual.coords:
        figures.save(figures.single_removals(counterfactual, settings["output"]), folder, "single_removals")
    if settings["reuse"]:
        reused = results.reuse(settings["target"], settings["recipe"])
        figures.save(figures.counterfactual_curves(reused), folder, "reuse")


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder to write to")
    job.run(main, parser)
