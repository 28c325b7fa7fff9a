"""Estimate the influence of every unit of the source on every target example, class, and the whole target."""

from pathlib import Path

from transferlens.core import job
from transferlens.data import index
from transferlens.influence import artefact


def main(arguments):
    artefact.write_influence(
        arguments.out,
        arguments.summary,
        index.read_index(arguments.target_index),
        arguments.settings["outputs"],
        arguments.settings["estimator"],
        config=arguments.settings,
        inputs=[arguments.summary, arguments.target_index],
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--target-index", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
