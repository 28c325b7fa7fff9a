"""The strongest pairs of a block of source images and a target example, near-duplicates flagged."""

from pathlib import Path

import numpy as np
import torch

from transferlens import open_results
from transferlens.analyses import leakage
from transferlens.core import job, store, studies
from transferlens.core.config import InputSettings
from transferlens.data import index, pipeline


def main(arguments):
    settings = arguments.settings
    influence = open_results(arguments.results).example_influence(
        settings["target"], settings["recipe"], settings["output"]
    )
    source, target = index.read_index(arguments.source_index), index.read_index(arguments.index)
    of_source, of_target = (InputSettings.of(settings[key]) for key in ("source_input", "input"))
    train = pipeline.open_images(arguments.source_train, source.train, of_source, torch.device("cpu"))
    val = pipeline.open_images(arguments.val, target.val, of_target, torch.device("cpu"))
    rows, unit_of_image = studies.read_rows(arguments.masks)
    members = [np.flatnonzero(unit_of_image == unit) for unit in range(len(rows.unit_names))]
    pairs, baseline = leakage.find_pairs(influence, settings["pairs"], members, train, val)
    found = leakage.table(pairs, influence, source, target, settings["duplicate_correlation"])
    provenance = {"config": settings, "inputs": [arguments.masks, arguments.index, arguments.source_index]}
    leakage.write_leakage(arguments.out, pairs, baseline, found, **provenance)
    leakage.draw(pairs, found, train, val, arguments.picture)
    store.write_csv(arguments.table, found)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--masks", type=Path, required=True, help="a shard of the examples study")
    parser.add_argument("--source-index", type=Path, required=True)
    parser.add_argument("--source-train", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    job.run(main, parser)
