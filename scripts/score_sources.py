"""Transferability scores of the source models of a shard, on the training images of a target."""

from argparse import Namespace

from transferlens.core import job
from transferlens.data import index
from transferlens.transferability import scoring


def main(arguments: Namespace) -> None:
    scoring.write_scores(
        arguments.scores,
        (arguments.features, arguments.source_features),
        arguments.models,
        index.read_index(arguments.target_index),
        index.read_index(arguments.source_index),
        arguments.settings["scores"],
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("features", "what the models make of the target's training images")
    script.reads("source_features", "and of the source's evaluation images, if a score asks", required=False)
    script.reads("models", "the models themselves, for their size")
    script.reads("target_index")
    script.reads("source_index")
    script.writes("scores")
    script.run(main)
