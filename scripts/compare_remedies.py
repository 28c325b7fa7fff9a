"""Compare models fine-tuned with each remedy with those fine-tuned without."""

from pathlib import Path

from transferlens.core import job, store
from transferlens.memories.remedies import comparison, figure
from transferlens.memories.retraining import retrained


def main(arguments):
    settings = arguments.settings
    names = ["", *settings["remedies"]]  # the recipe without any remedy comes first
    a_recipe = len(arguments.transfers) // len(names)
    runs = {
        name: comparison.read_run(made, probed, arguments.transfers[i * a_recipe : (i + 1) * a_recipe])
        for i, (name, made, probed) in enumerate(
            zip(names, arguments.composites, arguments.probes, strict=True)
        )
    }
    base = runs.pop("")
    significant = comparison.significant_pairs(arguments.interference)
    left_out = arguments.without and retrained.read_changes(arguments.without, arguments.reference)
    table = comparison.compare(base, runs, significant, settings["bootstrap"], settings["seed"], left_out)
    comparison.write_comparison(
        arguments.out,
        table,
        {name: run.clean.remedy_classes for name, run in runs.items()},
        base.composites.skipped,
        config=settings,
        inputs=[
            *(*arguments.composites, *arguments.probes, arguments.interference, *arguments.transfers),
            *(path for path in (arguments.without, arguments.reference) if path),
        ],
    )
    store.write_csv(arguments.table, table)
    figure.draw(arguments.picture, table)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    many = {"type": Path, "nargs": "+", "required": True}
    parser.add_argument("--composites", **many, help="without any remedy, then with each")
    parser.add_argument("--probes", **many, help="in the same order")
    parser.add_argument("--transfers", **many, help="in the same order, as many for each")
    parser.add_argument("--interference", type=Path, required=True, help="without any remedy")
    parser.add_argument("--without", type=Path, help="summary of models whose source lacks a class")
    parser.add_argument(
        "--reference", type=Path, help="summary of the full-source models of the same repeats"
    )
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    job.run(main, parser)
