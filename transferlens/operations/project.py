"""The folder of the workflow, which no package index holds: where it is, and Snakemake in it."""

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

from transferlens.core.errors import SetupError
from transferlens.core.run import SCRIPTS

OWN = SCRIPTS.parent  # the project that this package is the library of, if it lies in one
_SNAKEFILES = ("Snakefile", "workflow/Snakefile")  # where Snakemake looks itself


def require_own() -> None:
    """Refuse a package that was installed without the workflow beside it.

    Raises:
        SetupError: no Snakefile beside the package.
    """
    if not _has_workflow(OWN):
        raise SetupError(
            f"there is no Snakefile beside the package (in {OWN}), and models are trained by the workflow; "
            "get the project and run `pip install --editable .` in its folder"
        )
    _require_snakemake()


def find(start: Path) -> Path:
    """The nearest folder with a Snakefile: `start`, or one above it.

    Raises:
        SetupError: there is none.
    """
    start = start.resolve()
    for folder in (start, *start.parents):
        if _has_workflow(folder):
            return folder
    raise SetupError(
        f"{start}: no Snakefile here or above; run this in the folder of the project, or name that: "
        "--project FOLDER"
    )


def become_snakemake(folder: Path, words: Sequence[str]) -> NoReturn:
    """Replace this process by Snakemake in a folder, so that signals and the exit status are its own.

    Raises:
        SetupError: Snakemake is not installed.
    """
    _require_snakemake()
    sys.stdout.flush()
    os.chdir(folder)
    os.execv(sys.executable, [sys.executable, "-m", "snakemake", *words])


def _has_workflow(folder: Path) -> bool:
    return any((folder / name).is_file() for name in _SNAKEFILES)


def _require_snakemake() -> None:
    if find_spec("snakemake") is None:
        raise SetupError(f"{sys.executable} has no Snakemake; pip install 'snakemake[reports]>=9.19,<10'")
