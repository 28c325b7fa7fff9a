"""Curves of target accuracy against the number of removed source classes, with intervals and controls."""

from pathlib import Path

from transferlens.core import job
from transferlens.counterfactual import curves
from transferlens.counterfactual.orders import Removals
from transferlens.data.index import HALVES
from transferlens.influence import artefact


def main(arguments):
    settings = arguments.settings
    overall = artefact.read_overall(arguments.influence, settings["output"])
    report = HALVES.index("report")
    curves.write_counterfactual(
        arguments.out,
        arguments.summary,
        arguments.reference,
        Removals.of(settings),
        settings["repeats"],
        settings["output"],
        curves.Predictions(*(overall[key][report] for key in ("effect", "se", "high"))),
        config=settings,
        inputs=[arguments.summary, arguments.reference, arguments.influence],
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--influence", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
