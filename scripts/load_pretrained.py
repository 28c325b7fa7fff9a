"""Load the models of a study whose weights come from elsewhere."""

from argparse import Namespace

from transferlens.core import job, studies
from transferlens.core.settings import InputSettings, NetworkSettings, TrainingSettings
from transferlens.data import index, pipeline
from transferlens.training import device, pretrained, source


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    rows, _ = studies.read_masks(arguments.masks)
    examples = index.read_index(arguments.index)
    images = InputSettings.read(settings["input"])
    fits_head = "training" in settings
    pretrained.load_pretrained(
        arguments.models,
        rows,
        examples.class_names,
        pretrained.Given(settings["weights"], settings.get("prefix"), arguments.download, arguments.named),
        TrainingSettings.read(settings["training"]) if fits_head else None,
        pipeline.open_images(arguments.train, examples.train, images, place) if fits_head else None,
        pipeline.open_images(arguments.val, examples.val, images, place),
        NetworkSettings.read(settings["architecture"]),
    )
    source.write_record(arguments.record, arguments.models)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("masks")
    script.reads("index", "of the source data set")
    script.reads("train", "read where a head is fitted")
    script.reads("val")
    script.reads("weights", "the file that the settings name, if they name one", required=False)
    script.takes("download", action="store_true", help="published weights that are not on this machine")
    script.takes("named", required=True, help="the section of the configuration that gives the weights")
    script.writes("models")
    script.writes("record", "all of it but the weights")
    script.run(main)
