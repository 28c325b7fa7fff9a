"""Give influences or models of a finished study away, in files that other tools open, with a card."""

import argparse
from pathlib import Path


def main(arguments: argparse.Namespace) -> None:
    if arguments.what == "influence":
        from transferlens.operations.influence_export import export_influence

        made = export_influence(arguments.results, arguments.target, arguments.recipe, arguments.out)
    else:
        from transferlens.operations.model_export import export_models

        made = export_models(arguments.results, arguments.study, arguments.rows, arguments.out)
    print(f"{len(made)} files in {arguments.out}; README.md there tells what they are")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    kinds = parser.add_subparsers(dest="what", required=True, metavar="influence|models")
    influence = kinds.add_parser("influence", help="as CSV tables and NetCDF")
    models = kinds.add_parser("models", help="source models, as safetensors")
    for kind in (influence, models):
        kind.add_argument("results", type=Path, help="the results folder")
    influence.add_argument("target")
    influence.add_argument("recipe")
    models.add_argument("study", help="as in results/studies: influence, reference, ...")
    models.add_argument("--rows", type=int, nargs="+", help="numbers of its models (all that are stored)")
    for kind in (influence, models):
        kind.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="a new folder")
