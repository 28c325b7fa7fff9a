"""Load the one model of the pretrained study, whose weights come from elsewhere."""

from argparse import Namespace
from pathlib import Path

from transferlens.core import job, studies
from transferlens.core.settings import ArchitectureSettings, InputSettings, TrainingSettings
from transferlens.data import index, pipeline
from transferlens.training import device, pretrained, source


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    rows, _ = studies.read_rows(arguments.masks)
    examples = index.read_index(arguments.index)
    images = InputSettings.read(settings["input"])
    probed = "training" in settings
    provenance = {
        "config": settings,
        "inputs": [
            arguments.masks,
            arguments.index,
            *(beton.with_suffix(".h5") for beton in (arguments.train, arguments.val)),
        ],
    }
    pretrained.load_pretrained(
        arguments.out,
        rows,
        examples.class_names,
        settings["weights"],
        TrainingSettings.read(settings["training"]) if probed else None,
        pipeline.open_images(arguments.train, examples.train, images, place) if probed else None,
        pipeline.open_images(arguments.val, examples.val, images, place),
        ArchitectureSettings.read(settings["architecture"]),
        **provenance,
    )
    source.write_record(arguments.record, arguments.out, **provenance)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True, help="read where a head is fitted")
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True, help="all of it but the weights")
    job.run(main, parser)
