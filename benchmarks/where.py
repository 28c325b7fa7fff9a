"""Where the core-seconds of a study went: starting interpreters, work, and what Snakemake and waiting took.

    python benchmarks/where.py RESULTS

Read are the logs of jobs (CPU seconds before a script's own work, and in it; what it imports later counts as
work), their benchmark files (how long each held its core) and Snakemake's log beside the results folder, of
the run that made it (its cores, how long it planned, how long it lasted). All jobs are taken to hold one
core, as they do where data sets are small.
"""

import argparse
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import astuple, dataclass, fields
from datetime import datetime
from pathlib import Path

import pandas as pd
from tables import print_table

_CPU = re.compile(r"CPU seconds: ([\d.]+) to start, ([\d.]+) of work$", re.MULTILINE)
_DONE = re.compile(r"done in ([\d.]+) s$", re.MULTILINE)
_DATE = re.compile(r"^\[(\w{3} \w{3} +\d+ [\d:]+ \d{4})\]$", re.MULTILINE)


@dataclass
class Spent:
    """Core-seconds of the jobs of a step.

    Attributes:
        jobs: how many they are.
        start: CPU before the scripts' own work: interpreter and imports.
        work: CPU of their work.
        idle: of the time that they held their cores, what was neither: the shell, waiting for the disk or for
            other processes, and the end of the process.
    """

    jobs: int = 0
    start: float = 0.0
    work: float = 0.0
    idle: float = 0.0

    @property
    def cpu(self) -> float:
        """CPU seconds."""
        return self.start + self.work

    def add(self, other: "Spent") -> None:
        """Count others in."""
        for field in fields(self):
            setattr(self, field.name, getattr(self, field.name) + getattr(other, field.name))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("results", type=Path, metavar="RESULTS", help="results folder of a finished study")
    results = parser.parse_args().results
    steps, whole = spent(results), Spent()
    for of_step in steps.values():
        whole.add(of_step)
    if not whole.jobs:
        raise SystemExit(
            f"{results}: no log of a job that says its CPU seconds; run the study with this version"
        )
    ranked = sorted(steps.items(), key=lambda item: -item[1].cpu)
    rows = [row(name, of_step, whole.cpu) for name, of_step in [*ranked, ("all jobs", whole)]]
    header = ["", "jobs", "start", "work", "idle", "start of its CPU", "CPU of all"]
    print_table(f"Core-seconds of the jobs of {results}", header, rows)
    if found := last_run(results):
        print_table(*of_run(found, whole))


def spent(results: Path) -> dict[str, Spent]:
    """What the jobs of each step took, of those that their logs call done."""
    steps: dict[str, Spent] = defaultdict(Spent)
    for log in sorted((results / "logs").glob("*/**/*.log")):
        place, said = log.relative_to(results / "logs"), log.read_text()
        cpu, done = _CPU.findall(said), _DONE.findall(said)
        if not cpu or not done:
            continue
        start, work = map(float, cpu[-1])
        timing = results / "benchmarks" / place.with_suffix(".tsv")
        # A step without a benchmark file is quick; it then held its core for its start and its work.
        held = (
            float(pd.read_csv(timing, sep="\t")["s"].mean()) if timing.exists() else start + float(done[-1])
        )
        steps[place.parts[0]].add(Spent(1, start, work, held - start - work))
    return steps


def row(name: str, of_step: Spent, whole: float) -> list[str]:
    """A row of the table of steps."""
    jobs, *seconds = astuple(of_step)
    return [
        name,
        str(jobs),
        *(f"{value:.1f}" for value in seconds),
        f"{of_step.start / of_step.cpu:.0%}",
        f"{of_step.cpu / whole:.1%}",
    ]


@dataclass(frozen=True)
class Run:
    """A run of Snakemake: its cores, seconds until its first job, and seconds in all."""

    cores: int
    planned: float
    lasted: float


def last_run(results: Path) -> Run | None:
    """The latest run of Snakemake beside a results folder; None if it left no log of jobs."""
    logs = sorted((results.resolve().parent / ".snakemake/log").glob("*.snakemake.log"))
    said = logs[-1].read_text() if logs else ""
    dates, cores = list(_dates(said)), re.search(r"^Provided cores: (\d+)", said, re.MULTILINE)
    if not dates or not cores:
        return None
    begun = datetime.strptime(logs[-1].name.split(".")[0], "%Y-%m-%dT%H%M%S")
    return Run(int(cores[1]), (dates[0] - begun).total_seconds(), (dates[-1] - begun).total_seconds())


def _dates(said: str) -> Iterator[datetime]:
    """The times that Snakemake's log names, of jobs that begin or end."""
    for text in _DATE.findall(said):
        yield datetime.strptime(text, "%a %b %d %H:%M:%S %Y")


def of_run(run: Run, jobs: Spent) -> tuple[str, list[str], list[list[str]]]:
    """Title, header and rows of the table of a whole run: what its cores did, of all that they could have."""
    all_of_it = run.cores * run.lasted
    parts = {
        "start of jobs": jobs.start,
        "work of jobs": jobs.work,
        "idle in jobs": jobs.idle,
        "planning": run.cores * run.planned,
        "between jobs": all_of_it - run.cores * run.planned - jobs.cpu - jobs.idle,
        "all": all_of_it,
    }
    rows = [[name, f"{seconds:.1f}", f"{seconds / all_of_it:.1%}"] for name, seconds in parts.items()]
    title = f"Core-seconds of the last run of Snakemake: {run.cores} cores for {run.lasted:.0f} s"
    return title, ["", "core-s", "share"], rows


if __name__ == "__main__":
    main()
