"""Plan a study: models, jobs, hours and bytes, before anything runs."""

import argparse

from transferlens.command import workflow

add_arguments = workflow.add_arguments


def main(arguments: argparse.Namespace) -> None:
    workflow.ask("plan", arguments)
