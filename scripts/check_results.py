"""Check every file of a results folder, and say what Snakemake would run and why."""

import argparse
import os
import sys
from pathlib import Path

from transferlens.capabilities import run_of
from transferlens.core import job
from transferlens.core.errors import TransferlensError
from transferlens.operations import asked, checked, doctor


def main(arguments: argparse.Namespace) -> None:
    run, problem = run_of(arguments.settings), None
    try:
        jobs = asked.jobs(arguments.snakefile, arguments.settings)
    except TransferlensError as error:  # files can be checked all the same
        jobs, problem = [], error
    found = checked.find_files(arguments.results)
    workers = int(os.environ.get("OMP_NUM_THREADS", 1))
    files = checked.check_files(run, arguments.results, found.files, workers)
    problems = [*map(doctor.of_closed, found.closed), *doctor.find_problems(run, files, jobs)]
    job.say(*problems, *doctor.notices(found.unfinished, found.files))
    job.say(doctor.conclusion(run, files, problems, jobs))
    if problem:
        raise problem
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.takes("results", type=Path, required=True)
    script.takes("snakefile", type=Path, required=True)
    script.run(main)
