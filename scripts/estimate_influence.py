"""Estimate the influence of every source class on every target example, class, and the whole target."""

from pathlib import Path

from transferlens import job
from transferlens.data import index
from transferlens.influence import artefact


def main(arguments):
    artefact.write_influence(
        arguments.out,
        arguments.summary,
        index.read_index(arguments.source_index),
        index.read_index(arguments.target_index),
        arguments.settings["outputs"],
        config=arguments.settings,
        inputs=[arguments.summary, arguments.source_index, arguments.target_index],
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--summary", type=Path, required=True)
    parser.add_argument("--source-index", type=Path, required=True)
    parser.add_argument("--target-index", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
