"""Curves of target accuracy against the number of removed source classes, with intervals and controls."""

from argparse import Namespace

from transferlens.core import job
from transferlens.counterfactual import curves
from transferlens.counterfactual.artefacts import COUNTERFACTUAL, REUSE
from transferlens.counterfactual.orders import Cells


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    curves.write_counterfactual(
        arguments.counterfactual or arguments.reuse,
        COUNTERFACTUAL if arguments.counterfactual else REUSE,
        arguments.summary,
        arguments.reference,
        Cells.of(settings),
        settings["repeats"],
        settings["output"],
        curves.read_predictions(arguments.influence, settings["output"]),
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("summary", "of the models without some classes")
    script.reads("reference", "summary of the models they are paired with")
    script.reads("influence")
    script.writes("counterfactual", required=False)
    script.writes("reuse", "in its place, for another architecture or recipe", required=False)
    script.run(main)
