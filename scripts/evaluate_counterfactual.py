"""Curves of target accuracy against the number of removed source classes, with intervals and controls."""

from argparse import Namespace

from transferlens.core import job
from transferlens.counterfactual import curves, predictions
from transferlens.counterfactual.artefacts import COUNTERFACTUAL, REUSE
from transferlens.counterfactual.orders import Cells, read_mapping
from transferlens.data import index
from transferlens.data.units import class_units, group_units


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    cells, output = Cells.of(settings), settings["output"]
    reference = curves.read_reference(arguments.reference, output)
    retrained = curves.read_retrained(arguments.summary, reference, cells, output)
    mapped = steps = None
    if arguments.mapping:
        source = index.read_index(arguments.source_index)
        units = group_units(source) if settings["units"] == "groups" else class_units(source)
        mapped, _ = read_mapping(arguments.mapping, units, source)
    if arguments.steps:
        checked = Cells(settings["step_orders"], [settings["step_check"]])
        steps = curves.read_retrained(arguments.steps, reference, checked, output)
    curves.write_counterfactual(
        arguments.counterfactual or arguments.reuse,
        COUNTERFACTUAL if arguments.counterfactual else REUSE,
        reference,
        retrained,
        predictions.read_predictions(arguments.influence, output),
        mapped,
        steps,
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("summary", "of the models without some classes")
    script.reads("reference", "summary of the models they are paired with")
    script.reads("influence")
    script.reads("mapping", "of target images to source classes, for random sets", required=False)
    script.reads("source_index", "beside it", required=False)
    script.reads("steps", "summary of removals with as many steps as the full source", required=False)
    script.writes("counterfactual", required=False)
    script.writes("reuse", "in its place, for another architecture or recipe", required=False)
    script.run(main)
