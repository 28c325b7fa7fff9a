"""Estimate the influence of every unit of the source on every target example, class, and the whole target."""

from argparse import Namespace

from transferlens.core import job
from transferlens.data import index
from transferlens.influence import estimate
from transferlens.influence.artefacts import EXAMPLE_INFLUENCE, INFLUENCE


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    estimate.write_influence(
        arguments.influence or arguments.example_influence,
        INFLUENCE if arguments.influence else EXAMPLE_INFLUENCE,
        arguments.summary,
        index.read_index(arguments.target_index),
        settings["outputs"],
        settings["estimator"],
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("summary")
    script.reads("target_index")
    script.writes("influence", "where masks switch source classes or groups", required=False)
    script.writes("example_influence", "where they switch blocks of images", required=False)
    script.run(main)
