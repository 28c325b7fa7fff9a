"""Tell what changes in networks while they are adapted: similarities along the way, levels, ways and gaps."""

from argparse import Namespace

from transferlens.core import job
from transferlens.dynamics.told import stored


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    files = [arguments.target, arguments.source] if arguments.source else [arguments.target]
    activities = dict(zip(settings["domains"], files, strict=True))
    stored.write(
        arguments.similarity, activities, *(settings[name] for name in ("models", "permutations", "seed"))
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("target", "what networks make of the target's images, all shards", many=True)
    script.reads("source", "likewise of the source's; none where it is the target", many=True, required=False)
    script.writes("similarity")
    script.run(main)
