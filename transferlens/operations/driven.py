"""Snakemake in a process of its own, its words in a log: stopped with us, and a failure told in one line."""

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO

# What a job (`core.job`), the configuration, or Snakemake itself says of an error.
_ERRORS = re.compile(r"^(?:error: |transferlens: |Error: |\w*(?:Exception|Error) in )", re.MULTILINE)
_LOCKED = "Directory cannot be locked"


@contextmanager
def started(
    words: Sequence[str],
    log: IO[str],
    folder: Path | None = None,
    environment: Mapping[str, str] | None = None,
) -> Iterator[subprocess.Popen]:
    """Snakemake, which is stopped with its jobs, as by Ctrl-C, if the block is left before its end.

    Args:
        words: the command.
        folder: where it runs; None for the present one.
        environment: its variables; None for the present ones.
    """
    process = subprocess.Popen(
        words,
        stdout=log,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        cwd=folder,
        env=environment,
        start_new_session=True,  # a Ctrl-C for this process is passed on below, once
        # A shell starts what it runs in the background deaf to Ctrl-C, and so would this.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)
            process.wait()


def failure(log: Path, place: Path, unlock: str) -> str:
    """The first error that a log holds, in a line.

    Args:
        place: the folder that Snakemake works in.
        unlock: the command that unlocks it.
    """
    text = log.read_text(encoding="utf-8", errors="replace")
    if _LOCKED in text:
        return (
            f"{place}: another Snakemake works there, or one was killed; if so, run `{unlock}`, and this "
            "command again"
        )
    found = _ERRORS.search(text)
    line = text[found.start() :].partition("\n")[0] if found else "Snakemake failed"
    line = line.removeprefix("error: ").removeprefix("transferlens: ")
    return f"{line} (all of it: {log}); this command goes on from what is finished"
