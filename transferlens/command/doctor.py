"""Check the files of results: is each whole, and what would be re-run, and why? Nothing is changed."""

import argparse

from transferlens.command import workflow

add_arguments = workflow.add_arguments


def main(arguments: argparse.Namespace) -> None:
    workflow.ask("doctor", arguments)
