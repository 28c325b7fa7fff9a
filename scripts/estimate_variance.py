"""Estimate what the scores of reference models vary by: seeds of the source, of the transfer, and images."""

from argparse import Namespace

from transferlens.core import job
from transferlens.training.reading import read_outputs
from transferlens.variance import reading
from transferlens.variance.artefacts import OUTPUTS


def main(arguments: Namespace) -> None:
    transfers = [read_outputs(path, OUTPUTS) for path in arguments.transfers]
    reading.write_components(arguments.variance, transfers)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("transfers", "summaries of the reference study, transferred once and again", many=True)
    script.writes("variance")
    script.run(main)
