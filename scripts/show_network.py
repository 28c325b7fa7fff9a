"""Print what is found of every network of a run, before any training. No data are read."""

import argparse

from transferlens.capabilities import run_of
from transferlens.core import job
from transferlens.operations import networks


def main(arguments: argparse.Namespace) -> None:
    for lines in networks.report(run_of(arguments.settings)):
        job.say(lines)


if __name__ == "__main__":
    job.Script(__doc__).run(main)
