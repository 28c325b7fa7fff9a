"""Calls of Snakemake as forks of a process that has imported it: every call saves the import.

For a project that is called often, the process parses the code beforehand, too, which is another third of a
dry run. Parsed modules are kept by the date and the size of their file: an edited one is parsed again.
Everything else of the project is imported by the call itself, as it lies on the disk then.
"""

import importlib
import json
import os
import runpy
import subprocess
import sys
import tempfile
from pathlib import Path

# What a plan imports of other packages, apart from Snakemake.
IMPORTED = ("snakemake.cli", "h5py", "pydantic", "scipy.optimize", "scipy.stats")


class Caller:
    """A process that answers calls of Snakemake one by one, until it is closed."""

    def __init__(self, project: Path | None = None):
        words = [sys.executable, __file__, *([str(project)] if project else [])]
        self._process = subprocess.Popen(
            words, cwd=project, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __call__(self, folder: Path, *arguments: str) -> subprocess.CompletedProcess:
        """`python -m snakemake <arguments>` in a folder."""
        with tempfile.TemporaryDirectory() as place:
            printed = [os.path.join(place, name) for name in ("stdout", "stderr")]
            asked = {"folder": str(folder), "arguments": arguments, "printed": printed}
            asked["environment"] = dict(os.environ)
            print(json.dumps(asked), file=self._process.stdin, flush=True)
            status = int(self._process.stdout.readline())
            return subprocess.CompletedProcess(arguments, status, *(Path(p).read_text() for p in printed))

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def serve(project: str | None) -> None:
    """Answer each line of the standard input with the exit status of its call."""
    for name in IMPORTED:
        importlib.import_module(name)
    if project:
        parse(project)
    for line in iter(sys.stdin.readline, ""):
        child = os.fork()
        if not child:
            answer(**json.loads(line))
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


def parse(project: str) -> None:
    """Parse what the scripts of a project reach."""
    sys.path[0] = project
    from transferlens.core import fingerprint

    tree = fingerprint.Tree(Path(project))
    for script in tree.scripts():
        tree.fingerprint(script)


def answer(folder: str, arguments: list[str], printed: list[str], environment: dict[str, str]) -> None:
    """Become the process that was asked for, and end it."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    for number, path in enumerate(printed, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), number)
    sys.path[0] = folder
    sys.argv = ["snakemake", *arguments]
    try:
        runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
    except SystemExit as end:
        status = status_of(end)
    sys.stdout.flush()
    os._exit(status)  # to free what was parsed takes longer than many a plan


def status_of(end: SystemExit) -> int:
    """The exit status that Python makes of it."""
    if isinstance(end.code, str):
        print(end.code, file=sys.stderr, flush=True)
        return 1
    return int(end.code or 0)


if __name__ == "__main__":
    serve(*sys.argv[1:] or [None])
