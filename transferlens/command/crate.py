"""Pack a finished run as a Workflow Run RO-Crate: workflow, results, checksums, versions, settings, times."""

import argparse
from pathlib import Path


def main(arguments: argparse.Namespace) -> None:
    from transferlens.operations.crate import write_crate

    stated = {"licence": arguments.license} if arguments.license else {}
    made = write_crate(
        arguments.results, arguments.out, arguments.configuration, with_data=arguments.data, **stated
    )
    print(f"{made} files of results in {arguments.out}")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, help="the results folder, in the project that made it")
    parser.add_argument("--out", type=Path, required=True, help="a new folder, or a new .zip file")
    parser.add_argument(
        "--configuration", type=Path, nargs="+", default=[], help="files the run was configured with"
    )
    parser.add_argument("--license", help="of the crate, as a URL or in words")
    parser.add_argument("--data", action="store_true", help="with all HDF5 files, not their checksums alone")
