"""Collect the transfer shards of a study, for one target and recipe, into one compressed file."""

from pathlib import Path

from transferlens.core import job
from transferlens.training import summary


def main(arguments):
    summary.write_summary(arguments.out, arguments.shards, config=arguments.settings)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--shards", type=Path, nargs="+", required=True)
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
