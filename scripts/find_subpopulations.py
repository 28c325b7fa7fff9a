"""Examples of a target class that one source class helps most, and least; and how well this finds
finer classes.
"""

from pathlib import Path

import torch

from transferlens import open_results
from transferlens.analyses import subpopulations
from transferlens.core import job, store
from transferlens.core.config import InputSettings
from transferlens.data import index, pipeline


def main(arguments):
    settings = arguments.settings
    influence = open_results(arguments.results).influence(
        settings["target"], settings["recipe"], settings["output"]
    )
    target = index.read_index(arguments.index)
    images = InputSettings.of(settings["input"])
    val = pipeline.open_images(arguments.val, target.val, images, torch.device("cpu"))
    pairs = subpopulations.find_pairs(influence, settings["pairs"], settings["examples"])
    finer = subpopulations.finer_classes(influence, target)
    provenance = {"config": settings, "inputs": [arguments.index]}
    subpopulations.write_subpopulations(arguments.out, pairs, finer, target, val, **provenance)
    subpopulations.draw(arguments.out, arguments.picture)
    store.write_csv(arguments.table, subpopulations.pair_table(pairs, target))
    store.write_csv(arguments.finer, finer)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--finer", type=Path, required=True, help="table of finer classes found")
    job.run(main, parser)
