"""Misclassified examples, the source classes that harm them most, and what removing one really does."""

from argparse import Namespace

import torch

from transferlens.analyses import failure_files, failures
from transferlens.core import files, job, labelled
from transferlens.core.settings import InputSettings
from transferlens.data import index, pipeline
from transferlens.influence.artefacts import INFLUENCE
from transferlens.training.reading import read_outputs


def main(arguments: Namespace) -> None:
    settings, target = arguments.settings, index.read_index(arguments.index)
    output = settings["output"]
    outputs = list(dict.fromkeys([output, "correct", "prediction", "raw_margin"]))
    images = InputSettings.read(settings["input"])
    val = pipeline.open_images(arguments.val, target.val, images, torch.device("cpu"))
    found = failures.find_failures(
        labelled.read(arguments.influence, INFLUENCE, output),
        read_outputs(arguments.reference, outputs),
        read_outputs(arguments.removals, outputs) if arguments.removals else None,
        output,
        settings["examples"],
    )
    failure_files.write_failures(arguments.failures, found, target.val.ids, val)
    failure_files.draw(found, arguments.failures, arguments.picture, output)
    files.write_csv(arguments.table, failure_files.table(found.failures, target.val.ids))


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("influence")
    script.reads("index", "of the target data set")
    script.reads("val")
    script.reads("reference", "summary of the full-source models")
    script.reads("removals", "summary of the models without some classes", required=False)
    script.writes("failures")
    script.writes("table")
    script.writes("picture")
    script.run(main)
