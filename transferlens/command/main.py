"""`transferlens COMMAND ...`: a table of commands, each a module that is imported when it is asked for.

A command is a module of this package: its docstring describes it, `add_arguments(parser)` declares what it
takes, and `main(arguments)` does it. What it prints is for people; an error ends it with one line and status
1, a wrong command line with status 2.
"""

import argparse
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import NoReturn

# In the order of `transferlens --help`.
COMMANDS = {
    "explain": "draw what your models see in a folder of images",
    "scores": "relate two folders of images by a network",
    "similarity": "compare two networks, or two arrays of features",
    "advise": "recommend a recipe for your images and a checkpoint",
    "influence": "estimate influences from masks and outputs of your own models",
    "enough": "train more models until influences are known well enough",
    "plan": "models, jobs, hours and bytes of a study, before anything runs",
    "watch": "how far a study is: models done, pace, time left, failed jobs",
    "doctor": "is every file of results whole, and what would be re-run?",
    "compare": "lay results folders side by side: what changed, with intervals",
    "export": "give influences or models away, in files that other tools open",
    "crate": "pack a finished run as a Workflow Run RO-Crate",
}


def main(words: Sequence[str] | None = None) -> NoReturn:
    """Run the command that the words (default: of the command line) name."""
    words = sys.argv[1:] if words is None else list(words)
    if not words or words[0] not in COMMANDS:
        _overview().parse_args(words or ["--help"])
    _run(words[0], words[1:])


def _overview() -> argparse.ArgumentParser:
    from transferlens import __version__

    parser = argparse.ArgumentParser(
        prog="transferlens",
        description="What does a fine-tuned vision model still carry from its source data?",
        epilog="`transferlens COMMAND --help` tells what a command takes.",
    )
    parser.add_argument("--version", action="version", version=f"transferlens {__version__}")
    commands = parser.add_subparsers(metavar="COMMAND", required=True)
    for name, help in COMMANDS.items():
        commands.add_parser(name, help=help, add_help=False)
    return parser


def _run(name: str, words: Sequence[str]) -> NoReturn:
    arguments = parser_of(name).parse_args(words)
    from transferlens.core import job

    job.run(arguments.work, arguments)


def parser_of(name: str) -> argparse.ArgumentParser:
    """What reads the words of a command; with them comes `work`, the function that takes them."""
    command = import_module(f"transferlens.command.{name}")
    parser = argparse.ArgumentParser(prog=f"transferlens {name}", description=command.__doc__)
    command.add_arguments(parser)
    parser.set_defaults(work=command.main, log=None)
    return parser


if __name__ == "__main__":
    main()
