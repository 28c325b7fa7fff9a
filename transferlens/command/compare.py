"""Two or more results folders side by side: what changed, with intervals; each against the first."""

import argparse
from pathlib import Path


def main(arguments: argparse.Namespace) -> None:
    from transferlens.operations.compared import comparison

    print(comparison.compare(arguments.folders, arguments.out))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folders", nargs="+", type=Path, metavar="RESULTS", help="results folders")
    parser.add_argument(
        "--out", type=Path, default=Path("compared"), help="folder for index.html and differences.csv"
    )
