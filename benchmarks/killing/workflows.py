"""Snakemake itself, killed while jobs of several rules run."""

import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from killing.study import difference, files_of
from tests.workflow.conftest import SMOKE, copy_project, run_snakemake

_DELETED = ("counterfactual", "heatmaps", "influence_maps", "variance", "report")
_SECONDS = (3, 30)  # between which it is killed
_COMMAND = (*SMOKE, "--cores", "2")


def signal_of(number: int) -> signal.Signals:
    """The signals in turn."""
    return (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)[number % 3]


def trial(finished: Path, folder: Path, number: int, rng: np.random.Generator) -> list[str]:
    """Delete files of several rules, kill the Snakemake that makes them, run it to its end: what is wrong.

    Args:
        finished: a project with a finished smoke study, which is only read.
        folder: a new one.
    """
    folder.mkdir()
    copy_project(folder)
    for name in ("results", ".snakemake"):
        shutil.copytree(finished / name, folder / name)
    expected = files_of(folder)
    for name in _DELETED:
        shutil.rmtree(folder / "results" / name)
    words, sent = [sys.executable, "-m", "snakemake", *_COMMAND], signal_of(number)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(words, cwd=folder, start_new_session=True, preexec_fn=_hear, **quiet)
    time.sleep(rng.uniform(*_SECONDS))
    for _ in range(2 if sent == signal.SIGINT else 1):  # as of an impatient user
        process.send_signal(sent)
        time.sleep(0.5)
    process.wait()
    for arguments in (["--unlock", *SMOKE], _COMMAND):  # jobs of the first may still run
        done = run_snakemake(folder, *arguments)
        if done.returncode:
            return [f"after {sent.name}, {arguments[0]}: {done.stdout}{done.stderr}"]
    wrong = [f"{path}: left behind" for path in files_of(folder) - expected]
    compared = (difference(path, finished / path, folder / path) for path in sorted(expected))
    return wrong + [words for words in compared if words]


def _hear() -> None:
    """A shell starts what it runs in the background deaf to Ctrl-C, and so would this."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
