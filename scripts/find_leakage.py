"""The strongest pairs of a block of source images and a target example, near-duplicates flagged."""

from argparse import Namespace

import numpy as np
import torch

from transferlens.analyses import leakage
from transferlens.analyses.folds import missing_folds
from transferlens.core import files, job, labelled, studies
from transferlens.core.settings import InputSettings
from transferlens.data import index, pipeline
from transferlens.influence.artefacts import EXAMPLE_INFLUENCE
from transferlens.pictures import figures


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    influence = labelled.read(arguments.influence, EXAMPLE_INFLUENCE, settings["output"])
    source, target = index.read_index(arguments.source_index), index.read_index(arguments.index)
    of_source, of_target = (InputSettings.read(settings[key]) for key in ("source_input", "input"))
    train = pipeline.open_images(arguments.source_train, source.train, of_source, torch.device("cpu"))
    val = pipeline.open_images(arguments.val, target.val, of_target, torch.device("cpu"))
    rows, unit_of_image = studies.read_masks(arguments.masks)
    members = [np.flatnonzero(unit_of_image == unit) for unit in range(len(rows.unit_names))]
    pairs, baseline = leakage.find_pairs(influence, settings["pairs"], members, train, val)
    table = leakage.table(pairs, influence, source, target, settings["duplicate_correlation"])
    missing = missing_folds(influence)
    leakage.write_leakage(arguments.leakage, baseline, table, missing)
    if missing:
        figures.save(figures.message(f"No pair is shown: {missing}."), arguments.picture)
    else:
        leakage.draw(pairs, table, train, val, arguments.picture)
    files.write_csv(arguments.table, table)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("influence", "of blocks of source images")
    script.reads("masks", "a shard of the study that switches them")
    script.reads("source_index")
    script.reads("source_train")
    script.reads("index", "of the target data set")
    script.reads("val")
    script.writes("leakage")
    script.writes("table")
    script.writes("picture")
    script.run(main)
