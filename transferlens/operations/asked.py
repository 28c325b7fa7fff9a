"""What Snakemake makes of a configuration, asked in a process of its own (scripts/ask_snakemake.py)."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transferlens.core.errors import TransferlensError
from transferlens.core.run import SCRIPTS


@dataclass(frozen=True)
class Job:
    """A job of the present configuration, as Snakemake sees it.

    Attributes:
        outputs: the files it makes.
        temporary: those of them that are deleted when nobody needs them any more.
        reasons: why it would be run now; empty when it would not, or was not asked.
    """

    rule: str
    outputs: list[str]
    temporary: list[str]
    reasons: list[str]


def jobs(snakefile: Path, settings: Mapping[str, Any], reasons: bool = True) -> list[Job]:
    """The jobs of this configuration, from a Snakemake that runs and changes nothing.

    Args:
        reasons: also why each would be run now, for which every result is looked at.

    Raises:
        TransferlensError: Snakemake cannot plan it.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(settings, file)
        file.flush()
        command = [sys.executable, SCRIPTS / "ask_snakemake.py", snakefile, file.name]
        done = subprocess.run([*command, *["--reasons"] * reasons], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        raise TransferlensError("Snakemake cannot plan this configuration; its message is above")
    return [Job(**job) for job in json.loads(done.stdout)]
