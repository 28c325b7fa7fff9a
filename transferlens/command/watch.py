"""How far a study is: models done, pace, time left, failed jobs; from its results folder alone, read only."""

import argparse
import os
import shutil
import sys
import time
from pathlib import Path

from transferlens.core.errors import ConfigError


def main(arguments: argparse.Namespace) -> None:
    if not 0 < arguments.every < float("inf"):
        raise ConfigError(f"--every {arguments.every:g}: no time; give the seconds between two looks, as 10")
    from transferlens.operations import watching

    watcher, before = watching.Watcher(arguments.results), 0
    try:
        while True:
            before = _show(watching.lines(watcher.look()), before)
            if arguments.once:
                return
            time.sleep(arguments.every)
    except KeyboardInterrupt:
        print("stopped watching; the study itself was not touched")
        raise
    except BrokenPipeError:  # whoever read the lines went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _show(lines: list[str], before: int) -> int:
    """Print lines, on a terminal in place of those before, else below them; returns how many are there."""
    if not sys.stdout.isatty():
        print(time.strftime("%Y-%m-%d %H:%M:%S"), *lines, sep="\n", flush=True)
        return 0
    width, height = shutil.get_terminal_size()
    shown = [line[: width - 1] for line in lines[: height - 1]]
    print(
        f"\x1b[{before}A\x1b[J" if before else "",
        *(f"{line}\n" for line in shown),
        sep="",
        end="",
        flush=True,
    )
    return len(shown)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("results", type=Path, nargs="?", default=Path("results"), help="its results folder")
    parser.add_argument("--every", type=float, default=10, help="seconds between two looks (10)")
    parser.add_argument("--once", action="store_true", help="look once")
