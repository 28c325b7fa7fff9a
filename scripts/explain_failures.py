"""Misclassified examples, the source classes that harm them most, and what removing one really does."""

from pathlib import Path

import torch

from transferlens import open_results
from transferlens.analyses import failures
from transferlens.core import job, store
from transferlens.core.config import InputSettings
from transferlens.data import index, pipeline


def main(arguments):
    settings, results = arguments.settings, open_results(arguments.results)
    where, output = (settings["target"], settings["recipe"]), settings["output"]
    target = index.read_index(arguments.index)
    images = InputSettings.of(settings["input"])
    val = pipeline.open_images(arguments.val, target.val, images, torch.device("cpu"))
    found = failures.find_failures(
        results.influence(*where, output),
        results.summary("reference", *where),
        results.summary(f"counterfactual-{where[0]}-{where[1]}", *where),
        output,
        settings["examples"],
    )
    provenance = {"config": settings, "inputs": [arguments.index]}
    failures.write_failures(arguments.out, found, target.val.ids, val, **provenance)
    failures.draw(found, arguments.out, arguments.picture, output)
    store.write_csv(arguments.table, failures.table(found, target.val.ids))


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    job.run(main, parser)
