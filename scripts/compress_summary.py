"""Collect the transfer shards of a study, for one target and recipe, into one compressed file."""

from argparse import Namespace

from transferlens.core import job
from transferlens.training import summary


def main(arguments: Namespace) -> None:
    summary.write_summary(arguments.summary, arguments.shards)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("shards", "transfer runs, in order", many=True)
    script.writes("summary")
    script.run(main)
