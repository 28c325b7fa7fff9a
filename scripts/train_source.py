"""Train the source models of one shard (or load the pretrained one)."""

from pathlib import Path

from transferlens.core import job, studies
from transferlens.core.config import ArchitectureSettings, InputSettings, TrainingSettings
from transferlens.data import index, pipeline
from transferlens.training import device, pretrained, source


def main(arguments):
    settings, place = arguments.settings, device.pick()
    rows, unit_of_image = studies.read_rows(arguments.masks)
    examples = index.read_index(arguments.index)
    architecture = ArchitectureSettings.of(settings["architecture"])
    images = InputSettings.of(settings["input"])
    val = pipeline.open_images(arguments.val, examples.val, images, place)
    inputs = [arguments.masks, arguments.index, *map(_manifest, (arguments.train, arguments.val))]
    provenance = {"config": settings, "inputs": inputs}
    train, training = None, None
    if "training" in settings:
        train = pipeline.open_images(arguments.train, examples.train, images, place)
        training = TrainingSettings.of(settings["training"])
    if "weights" in settings:
        pretrained.load_pretrained(
            arguments.out,
            rows,
            examples.class_names,
            settings["weights"],
            training,
            train,
            val,
            architecture,
            **provenance,
        )
    else:
        source.train_shard(
            arguments.out,
            rows,
            unit_of_image,
            examples.class_names,
            train,
            val,
            architecture,
            training,
            settings["step_matched"],
            **provenance,
        )
    source.write_record(arguments.record, arguments.out, **provenance)


def _manifest(beton: Path) -> Path:
    return beton.with_suffix(".h5")


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--masks", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--train", type=Path, required=True)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--record", type=Path, required=True, help="all of it but the weights")
    job.run(main, parser)
