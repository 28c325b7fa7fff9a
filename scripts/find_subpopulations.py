"""Examples of a target class that one source class helps most, and least; and how well this finds
finer classes.
"""

from argparse import Namespace

import torch

from transferlens.analyses import subpopulations
from transferlens.analyses.folds import missing_folds
from transferlens.core import files, job, labelled
from transferlens.core.settings import InputSettings
from transferlens.data import index, pipeline
from transferlens.influence.artefacts import INFLUENCE


def main(arguments: Namespace) -> None:
    settings, target = arguments.settings, index.read_index(arguments.index)
    influence = labelled.read(arguments.influence, INFLUENCE, settings["output"])
    images = InputSettings.read(settings["input"])
    val = pipeline.open_images(arguments.val, target.val, images, torch.device("cpu"))
    pairs = subpopulations.find_pairs(influence, settings["pairs"], settings["examples"])
    finer = subpopulations.finer_classes(influence, target)
    missing = missing_folds(influence)
    subpopulations.write_subpopulations(arguments.subpopulations, pairs, finer, target, val, missing)
    subpopulations.draw(arguments.subpopulations, arguments.picture)
    files.write_csv(arguments.table, subpopulations.pair_table(pairs, target))
    files.write_csv(arguments.finer, finer)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("influence")
    script.reads("index", "of the target data set")
    script.reads("val")
    script.writes("subpopulations")
    script.writes("table")
    script.writes("picture")
    script.writes("finer", "table of finer classes and how well they are found")
    script.run(main)
