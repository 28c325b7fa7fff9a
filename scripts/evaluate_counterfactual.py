"""Curves of target accuracy against the number of removed source classes, with intervals and controls."""

from pathlib import Path

from transferlens import job
from transferlens.counterfactual import curves


def main(arguments):
    settings = arguments.settings
    curves.write_counterfactual(
        arguments.out,
        arguments.summary,
        arguments.reference,
        settings["orders"],
        settings["ks"],
        settings["repeats"],
        config=settings,
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--reference", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
