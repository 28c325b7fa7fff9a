"""How faithful class maps are to the network, by method, on report-half examples of a target."""

from argparse import Namespace

import numpy as np

from transferlens.core import files, job
from transferlens.core.seeding import rng_for
from transferlens.core.settings import InputSettings, NetworkSettings
from transferlens.data import index, pipeline
from transferlens.heatmaps import faithfulness, faithfulness_report
from transferlens.training import device, networks


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    where = device.pick()
    target = index.read_index(arguments.index)
    images = pipeline.open_images(arguments.val, target.val, InputSettings.read(settings["input"]), where)
    report = target.val.of_half("report")
    rng = rng_for(settings["seed"], "faithfulness")
    examples = np.sort(rng.permutation(report)[: settings["examples"]])
    architecture = NetworkSettings.read(settings["architecture"])
    model = next(networks.adapted_networks([arguments.source], [arguments.transfer], architecture, where))
    batch, _ = images.pick(examples)
    scores = faithfulness.score(
        model.network, batch, settings["methods"], settings["layer"], settings["steps"], settings["seed"]
    )
    summary = faithfulness.summarise(scores)
    layer = settings["layer"] or model.network.class_map_layer
    faithfulness_report.write(
        arguments.faithfulness,
        scores,
        summary,
        examples,
        [target.val.ids[e] for e in examples],
        target.class_names,
        layer,
    )
    files.write_csv(arguments.table, faithfulness_report.table(scores, summary, layer))
    faithfulness_report.draw(scores, summary, arguments.picture)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("source", "reference shard with the full-source model")
    script.reads("transfer", "its transfer runs")
    script.reads("index", "of the target data set")
    script.reads("val", "its evaluation images")
    script.writes("faithfulness")
    script.writes("table", "every measure of every method, as CSV")
    script.writes("picture")
    script.run(main)
