"""Estimate the influence of every unit of training data on every output, from masks and outputs in files."""

import argparse
from pathlib import Path

from transferlens.core import provenance
from transferlens.influence import own, own_files

_FILES = ".npy, .npz, .csv or .h5; an array of several in a file: runs.h5:NAME"


def main(arguments: argparse.Namespace) -> None:
    given, made_from = own_files.read_own(
        arguments.masks, arguments.outputs, arguments.unit_names, arguments.output_names, arguments.groups
    )
    provenance.begin({"estimator": arguments.estimator})
    own.write_influence(arguments.out, given, arguments.estimator, made_from)
    if arguments.csv:
        own_files.write_table(arguments.csv, arguments.out)
    models, units = given.masks.shape
    print(f"{units} units, {len(given.output_names)} outputs, {models} models: influences in {arguments.out}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--masks", required=True, help=f"0 and 1 [models, units]: {_FILES}")
    parser.add_argument("--outputs", required=True, help=f"numbers [models, outputs]: {_FILES}")
    parser.add_argument("--out", type=Path, required=True, help="the influences, as HDF5")
    parser.add_argument("--csv", type=Path, help="also write them as one long table")
    parser.add_argument(
        "--estimator",
        default="least_squares",
        help="least_squares, difference_of_means, ridge or lasso (docs/influence.md)",
    )
    for name, of_what in (
        ("--unit-names", "name of every unit"),
        ("--output-names", "name of every output"),
        ("--groups", "group (say, the class) of every output, on whose means influences are estimated, too"),
    ):
        parser.add_argument(name, type=Path, help=f"text file with the {of_what}, one a line")
