"""Check every file of a results folder, and say what Snakemake would run and why."""

import argparse
import os
import sys
from pathlib import Path

from transferlens.capabilities import run_of
from transferlens.core import job
from transferlens.core.errors import TransferlensError
from transferlens.operations import asked, doctor


def main(arguments: argparse.Namespace) -> None:
    run, problem = run_of(arguments.settings), None
    try:
        jobs = asked.jobs(arguments.snakefile, arguments.settings)
    except TransferlensError as error:  # files can be checked all the same
        jobs, problem = [], error
    paths, temporary = doctor.find_files(arguments.results)
    workers = int(os.environ.get("OMP_NUM_THREADS", 1))
    checked = doctor.check_files(run, arguments.results, paths, workers)
    problems = doctor.find_problems(run, checked, jobs)
    job.say(*problems, *doctor.notices(temporary, paths))
    job.say(doctor.conclusion(run, checked, problems, jobs))
    if problem:
        raise problem
    if problems:
        sys.exit(1)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.takes("results", type=Path, required=True)
    script.takes("snakefile", type=Path, required=True)
    script.run(main)
