"""Say what a study will cost: models, jobs, hours and bytes. Nothing is run or written."""

import argparse
from pathlib import Path

from transferlens.capabilities import run_of
from transferlens.core import job
from transferlens.operations import asked, datasets, plan, rate
from transferlens.training import device


def main(arguments: argparse.Namespace) -> None:
    run, place = run_of(arguments.settings), device.pick()
    data = datasets.describe_all(run, arguments.results)
    jobs = asked.jobs(arguments.snakefile, arguments.settings, reasons=False)
    hours = rate.hours(run, data, arguments.results, place)
    job.say(*plan.report(run, data, jobs, hours, rate.name_of(place)))
    if advice := list(plan.advice(run, arguments.results, hours)):
        job.say("", *advice)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.takes("results", type=Path, required=True)
    script.takes("snakefile", type=Path, required=True)
    script.run(main)
