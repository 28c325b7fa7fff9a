"""Check every file of a results folder, and say what Snakemake would run and why."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from transferlens.core import job
from transferlens.core.errors import TransferlensError
from transferlens.operations import doctor


def main(arguments):
    jobs = planned_jobs(arguments.snakefile, arguments.settings)
    files, temporary = doctor.find_files(arguments.results)
    checked = doctor.check_files(arguments.results, files, int(os.environ.get("OMP_NUM_THREADS", 1)))
    problems = doctor.find_problems(checked, jobs)
    notices = doctor.notices(temporary, files)
    job.say(*problems, *notices, doctor.conclusion(checked, problems, jobs))
    if problems:
        sys.exit(1)


def planned_jobs(snakefile: Path, config: dict) -> list[doctor.Job]:
    """The jobs of this configuration, from a Snakemake that runs nothing."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(config, file)
        file.flush()
        script = Path(__file__).with_name("ask_snakemake.py")
        done = subprocess.run(
            [sys.executable, script, snakefile, file.name], stdout=subprocess.PIPE, text=True
        )
    if done.returncode:
        raise TransferlensError("Snakemake cannot plan this configuration; its message is above")
    return [doctor.Job(**found) for found in json.loads(done.stdout)]


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--snakefile", type=Path, required=True)
    job.run(main, parser)
