"""Class maps of the report-half examples most hurt by a source class, and their gallery."""

from pathlib import Path

import numpy as np

from transferlens.core import job
from transferlens.core.settings import ArchitectureSettings, InputSettings
from transferlens.data import index, pipeline
from transferlens.heatmaps import hurt_examples
from transferlens.influence import artefact
from transferlens.training import device, networks


def main(arguments):
    settings = arguments.settings
    where = device.pick()
    influence = artefact.read_influence(arguments.influence, settings["output"])
    hurt = hurt_examples.most_hurt(
        influence.effect, influence.se, influence.df, influence.example_halves, settings["examples"]
    )
    target = index.read_index(arguments.index)
    images = pipeline.open_images(arguments.val, target.val, InputSettings.read(settings["input"]), where)
    architecture = ArchitectureSettings.read(settings["architecture"])
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
        arguments.out,
        hurt,
        explained,
        labels,
        pixels,
        [influence.example_ids[e] for e in hurt.examples],
        influence.unit_names,
        influence.target_class_names,
        settings["method"],
        config=settings,
        inputs=[arguments.influence, arguments.source, arguments.transfer, arguments.index],
        device=device.name(where),
    )
    hurt_examples.draw_gallery(arguments.out, arguments.picture, settings["colormap"])


def unit_of_class(unit_names, source):
    """The unit int64[classes] of every source class: the class itself, or its group."""
    names = source.class_names if unit_names == source.class_names else source.class_groups
    return np.array([unit_names.index(name) for name in names])


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--influence", type=Path, required=True)
    parser.add_argument(
        "--source", type=Path, required=True, help="reference shard with the full-source model"
    )
    parser.add_argument("--transfer", type=Path, required=True, help="its transfer runs")
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--source-index", type=Path, required=True)
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    job.run(main, parser)
