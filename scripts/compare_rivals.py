"""What do class influences tell that label mapping, similarity and names do not?"""

from argparse import Namespace

from transferlens.core import job
from transferlens.data import index
from transferlens.influence import rivals


def main(arguments: Namespace) -> None:
    rivals.write_rivals(
        arguments.rivals,
        arguments.influence,
        arguments.target_features,
        arguments.source_features,
        index.read_index(arguments.target_index),
        index.read_index(arguments.source_index),
        arguments.settings["output"],
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("influence")
    script.reads("target_features", "reference models' features of the target's training images", many=True)
    script.reads("source_features", "reference models' features of the source's val images", many=True)
    script.reads("target_index")
    script.reads("source_index")
    script.writes("rivals")
    script.run(main)
