"""Class maps of the report-half examples most hurt by a source class, and their gallery."""

from argparse import Namespace

from transferlens.core import job
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.data.units import unit_of_class
from transferlens.estimation.estimators import Effects
from transferlens.heatmaps import hurt_examples
from transferlens.influence import reading
from transferlens.training import device, networks


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    where = device.pick()
    influence = reading.read_influence(arguments.influence, settings["output"])
    everyone = Effects(influence.effect, influence.se, influence.df)
    choosing, reporting = influence.by_fold or (everyone, None)
    hurt = hurt_examples.most_hurt(choosing, reporting, influence.example_halves, settings["examples"])
    target = index.read_index(arguments.index)
    images = pipeline.open_images(arguments.val, target.val, InputSettings.read(settings["input"]), where)
    architecture = NetworkSettings.read(settings["architecture"])
    model = next(networks.adapted_networks([arguments.source], [arguments.transfer], architecture, where))
    labels = target.val.labels[hurt.examples]
    batch, pixels = images.pick(hurt.examples)
    explained = hurt_examples.explain(
        model.network,
        model.source.head,
        batch,
        labels,
        hurt,
        unit_of_class(influence.unit_names, index.read_index(arguments.source_index)),
        settings["method"],
        settings["layer"],
    )
    hurt_examples.write_heatmaps(
        arguments.heatmaps,
        hurt,
        explained,
        labels,
        pixels,
        [influence.example_ids[e] for e in hurt.examples],
        influence.unit_names,
        influence.target_class_names,
        settings["method"],
        influence.folds_missing,
    )
    hurt_examples.draw_gallery(arguments.heatmaps, arguments.gallery, settings["colormap"])


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("influence")
    script.reads("source_index")
    script.reads("source", "reference shard with the full-source model")
    script.reads("transfer", "its transfer runs")
    script.reads("index", "of the target data set")
    script.reads("val", "its evaluation images")
    script.writes("heatmaps")
    script.writes("gallery", "their picture")
    script.run(main)
