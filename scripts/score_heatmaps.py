"""How faithful class maps are to the network, by method, on report-half examples of a target."""

from pathlib import Path

import numpy as np

from transferlens.core import job, store
from transferlens.core.seeding import rng_for
from transferlens.core.settings import ArchitectureSettings, InputSettings
from transferlens.data import index, pipeline
from transferlens.data.index import HALVES
from transferlens.heatmaps import faithfulness, faithfulness_report
from transferlens.training import device, networks


def main(arguments):
    settings = arguments.settings
    where = device.pick()
    target = index.read_index(arguments.index)
    images = pipeline.open_images(arguments.val, target.val, InputSettings.read(settings["input"]), where)
    report = np.flatnonzero(target.val.halves == HALVES.index("report"))
    rng = rng_for(settings["seed"], "faithfulness")
    examples = np.sort(rng.permutation(report)[: settings["examples"]])
    architecture = ArchitectureSettings.read(settings["architecture"])
    model = next(networks.adapted_networks([arguments.source], [arguments.transfer], architecture, where))
    batch, _ = images.pick(examples)
    scores = faithfulness.score(
        model.network, batch, settings["methods"], settings["layer"], settings["steps"], settings["seed"]
    )
    summary = faithfulness.summarise(scores)
    layer = settings["layer"] or model.network.class_map_layer
    faithfulness_report.write(
        arguments.out,
        scores,
        summary,
        examples,
        [target.val.ids[e] for e in examples],
        target.class_names,
        layer,
        config=settings,
        inputs=[arguments.source, arguments.transfer, arguments.index],
        device=device.name(where),
    )
    store.write_csv(arguments.table, faithfulness_report.table(scores, summary, layer))
    faithfulness_report.draw(scores, summary, arguments.picture)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument(
        "--source", type=Path, required=True, help="reference shard with the full-source model"
    )
    parser.add_argument("--transfer", type=Path, required=True, help="its transfer runs")
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", type=Path, required=True)
    parser.add_argument("--picture", type=Path, required=True)
    job.run(main, parser)
