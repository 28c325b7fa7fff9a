"""Count how often full-source models put the target's training images into each source class."""

from argparse import Namespace

from transferlens.core import job
from transferlens.counterfactual import label_mapping


def main(arguments: Namespace) -> None:
    label_mapping.write_label_mapping(arguments.mapping, arguments.features)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("features", "of the reference study's models on these images, shard by shard", many=True)
    script.writes("mapping")
    script.run(main)
