"""Compare influences and accuracies between a target and its parts with fewer training images."""

from pathlib import Path

from transferlens import open_results
from transferlens.analyses import small_targets
from transferlens.core import job, store


def main(arguments):
    settings, results = arguments.settings, open_results(arguments.results)
    names, recipe = settings["targets"], settings["recipe"]
    table = small_targets.compare(
        {name: len(results.dataset(name).train) for name in names},
        {name: results.influence(name, recipe, settings["output"]) for name in names},
        {name: results.summary("reference", name, recipe) for name in names},
        names[0],
    )
    small_targets.write_small_targets(arguments.out, table, config=settings, inputs=[])
    small_targets.draw(table, arguments.picture)
    store.write_csv(arguments.table, table)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    job.run(main, parser)
