"""Do influence, interference, binding and weights agree?"""

from argparse import Namespace

import numpy as np
import xarray as xr

from transferlens.core import artefacts, files, job, labelled
from transferlens.core.seeding import rng_for
from transferlens.influence.artefacts import INFLUENCE
from transferlens.memories.agreement import figure, measures
from transferlens.memories.agreement.artefacts import AGREEMENT


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    influence = labelled.read(arguments.influence, INFLUENCE, settings["output"])
    cells = measures.read_cells(arguments.probes, arguments.interference, class_tables(influence))
    examples, memory, labels = measures.read_memories(
        arguments.ranking, cells.source_classes, cells.target_classes
    )
    rng = rng_for(settings["seed"], "agreement of memories")
    resampling = measures.Resampling(settings["bootstrap"], settings["permutations"], rng)
    with artefacts.create(arguments.agreement, AGREEMENT) as out:
        measures.write_cells(out, cells)
        measures.write_comparisons(out, cells, resampling)
        if cells.influence:
            effect, se = (influence[name].values[examples] for name in ("effect", "effect_se"))
            compared = measures.compare_examples(cells, memory, labels, effect, se, resampling)
            measures.write_examples(out, compared)
    files.write_csv(arguments.table, measures.table(cells))
    figure.draw(arguments.agreement, arguments.picture, settings)


def class_tables(influence: xr.Dataset) -> tuple[list[str], dict[str, np.ndarray]]:
    """The names of the units, and their influences on target classes, float[units, target classes] each."""
    report = influence.sel(half="report")
    parts = {"effect": "", **{part: f"_{part}" for part in ("low", "high", "q")}}
    tables = {key: report[f"class_effect{suffix}"].values.T for key, suffix in parts.items()}
    return influence.source_class.values.tolist(), tables


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("influence")
    script.reads("probes")
    script.reads("interference")
    script.reads("ranking")
    script.writes("agreement")
    script.writes("table")
    script.writes("picture")
    script.run(main)
