"""Curves of target accuracy against the number of removed blocks of source images."""

from argparse import Namespace

from transferlens.core import job
from transferlens.counterfactual import curves
from transferlens.counterfactual.artefacts import BLOCK_REMOVALS
from transferlens.counterfactual.orders import Cells


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    cells, output = Cells(settings["orders"], settings["ks"]), settings["output"]
    reference = curves.read_reference(arguments.reference, output)
    retrained = curves.read_retrained(arguments.summary, reference, cells, output)
    curves.write_counterfactual(arguments.block_removals, BLOCK_REMOVALS, reference, retrained)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("summary", "of the models without some blocks")
    script.reads("reference", "summary of the models they are paired with")
    script.writes("block_removals")
    script.run(main)
