"""Compare models fine-tuned with each remedy with those fine-tuned without."""

from argparse import Namespace

from transferlens.core import files, job
from transferlens.memories.remedies import comparison, figure
from transferlens.memories.retraining import retrained


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    names = ["", *settings["remedies"]]  # the recipe without any remedy comes first
    a_recipe = len(arguments.transfers) // len(names)
    runs = {
        name: comparison.read_run(
            made, probed, arguments.transfers[i * a_recipe : (i + 1) * a_recipe], settings["models"]
        )
        for i, (name, made, probed) in enumerate(
            zip(names, arguments.composites, arguments.probes, strict=True)
        )
    }
    base = runs.pop("")
    chosen = comparison.chosen_pairs(arguments.interference, base.composites.source_names)
    left_out = arguments.without and retrained.read_changes(arguments.without, arguments.reference)
    table = comparison.compare(base, runs, chosen, left_out)
    comparison.write_comparison(
        arguments.remedies,
        table,
        {name: run.clean.remedy_classes for name, run in runs.items()},
        base.composites.skipped,
    )
    files.write_csv(arguments.table, table)
    figure.draw(arguments.picture, table)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("composites", "without any remedy, then with each", many=True)
    script.reads("probes", "in the same order", many=True)
    script.reads("transfers", "in the same order, as many for each", many=True)
    script.reads("interference", "without any remedy")
    script.reads("without", "summary of models whose source lacks a class", required=False)
    script.reads("reference", "summary of the full-source models of the same repeats", required=False)
    script.writes("remedies")
    script.writes("table")
    script.writes("picture")
    script.run(main)
