"""Do influence, interference, binding and weights agree; and what does leaving out a memory change?"""

from pathlib import Path

import numpy as np

from transferlens import open_results
from transferlens.core import job, store
from transferlens.core.seeding import rng_for
from transferlens.memories.agreement import figure, measures
from transferlens.memories.retraining import retrained


def main(arguments):
    settings, results = arguments.settings, open_results(arguments.results)
    influence = results.influence(settings["target"], settings["influence_recipe"], settings["output"])
    cells = measures.read_cells(arguments.probes, arguments.interference, class_tables(influence))
    examples, memory, labels = measures.read_memories(arguments.ranking)
    rng = rng_for(settings["seed"], "agreement of memories")
    resampling = measures.Resampling(settings["bootstrap"], settings["permutations"], rng)
    files = [arguments.results / "influence" / settings["target"] / f"{settings['influence_recipe']}.h5"]
    files += [getattr(arguments, n) for n in ("probes", "interference", "ranking", "without", "reference")]
    with store.create(arguments.out, measures.KIND, config=settings, inputs=list(filter(None, files))) as out:
        measures.write_cells(out, cells)
        measures.write_comparisons(out, cells, resampling)
        if cells.influence:
            effect, se = (influence[key].values[examples] for key in ("effect", "se"))
            found = measures.compare_examples(cells, memory, labels, effect, se, resampling)
            measures.write_examples(out, found)
        if arguments.without:
            changes = retrained.read_changes(arguments.without, arguments.reference)
            of_all = np.full(influence.sizes["example"], -1)
            of_all[examples] = memory
            retrained.write_without(
                out, changes, of_all[changes.examples], cells.overlap, resampling.bootstrap, rng
            )
    store.write_csv(arguments.table, measures.table(cells))
    figure.draw(arguments.out, arguments.picture, settings)


def class_tables(influence):
    """Influences on target classes, float[units, target classes] each, with the names of the units."""
    report = influence.sel(half="report")
    tables = {key: report[f"class_{key}"].values.T for key in ("effect", "low", "high", "q")}
    return influence.source_class.values.tolist(), tables


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True, help="holds the influences")
    parser.add_argument("--probes", type=Path, required=True)
    parser.add_argument("--interference", type=Path, required=True)
    parser.add_argument("--ranking", type=Path, required=True)
    parser.add_argument("--without", type=Path, help="summary of the models without one source class")
    parser.add_argument("--reference", type=Path, help="summary of the full-source models, to go with it")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    job.run(main, parser)
