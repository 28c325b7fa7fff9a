"""Kill jobs of every step at random moments: are their results the same, and is nothing left behind?

    PYTHONPATH=. python benchmarks/kills.py --kills 200 --seed 1 [--results FOLDER] [--steps NAME ...]
    PYTHONPATH=. python benchmarks/kills.py --snakemake 3 [--seed 1] [--results FOLDER]

Each trial takes one or two jobs of a step of the smoke study, kills them once to three times by SIGKILL,
SIGTERM or SIGINT (the main process, or all of the job's), and runs them to their end. Then every file is
whole, nothing else is left, no process goes on, at most one line was printed, inputs are untouched, and
arrays, pixels, tables and pages are the same bit by bit. FOLDER is a project with a finished smoke study,
which is only read; without it one is made. Prints kills by step and signal, and each failure with the trial
that repeats it (`--trial N`). With `--snakemake`, Snakemake is killed in place of its jobs, while several
rules run; then `--unlock` and the same command make the same files. The exit status is 1 if anything was
wrong.
"""

import argparse
import os
import sys
import tempfile
from collections import Counter
from itertools import count
from pathlib import Path

import numpy as np
import torch
from killing import workflows
from killing.processes import Kill, preload
from killing.study import Study
from killing.trials import SIGNALS, complete, trial
from snakemake.common.configfile import load_configfile
from snakemake.utils import update_config
from tables import print_table

from tests.workflow.conftest import REPOSITORY, run_smoke_study
from transferlens.capabilities import run_of
from transferlens.core.run import Run


def main() -> int:
    given = _arguments()
    _take_one_thread()
    torch.set_num_threads(1)
    os.environ["PYTHONPATH"] = str(REPOSITORY)
    with tempfile.TemporaryDirectory() as name:
        finished = given.results or made(Path(name) / "made")
        finished = finished.absolute()
        if given.snakemake:
            return int(kill_snakemake(finished, Path(name), given))
        study = Study(finished, Path(name), [run_of_smoke(), run_of_smoke(0)])
        steps = given.steps or study.steps
        preload(sorted({job.script for step in steps for job in study.jobs[0][step]}))
        if study.lacks_files(steps):
            complete(study)
        return int(report(*kill_jobs(study, steps, given)))


def _take_one_thread() -> None:
    """Begin anew where libraries would start threads (OpenBLAS does as it is imported): forks have one."""
    if os.environ.get("OMP_NUM_THREADS") != "1":
        os.execve(sys.executable, [sys.executable, *sys.argv], os.environ | {"OMP_NUM_THREADS": "1"})


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--results", type=Path, metavar="FOLDER")
    parser.add_argument("--steps", nargs="+", metavar="NAME")
    parser.add_argument("--trial", type=int, metavar="N", help="this one alone")
    parser.add_argument(
        "--snakemake", type=int, default=0, metavar="N", help="kill Snakemake itself so often"
    )
    return parser.parse_args()


def made(folder: Path) -> Path:
    """A finished smoke study in a new folder."""
    folder.mkdir()
    run_smoke_study(folder)
    return folder


def run_of_smoke(resume_minutes: float | None = None) -> Run:
    """The run of the smoke study; with every model in progress kept, if so asked."""
    settings = load_configfile(REPOSITORY / "config.yaml")
    update_config(settings, load_configfile(REPOSITORY / "configs/smoke.yaml"))
    return run_of(settings if resume_minutes is None else {**settings, "resume_minutes": resume_minutes})


def kill_jobs(study: Study, steps: list[str], given: argparse.Namespace) -> tuple[dict, list[str], int]:
    """Trials step by step until there were enough kills: kills by step, what was wrong, trials."""
    kills: dict[str, list[Kill]] = {step: [] for step in steps}
    wrong, trials = [], 0
    for number in count() if given.trial is None else [given.trial]:
        if given.trial is None and sum(map(len, kills.values())) >= given.kills:
            break
        step = steps[number % len(steps)]
        outcome = trial(study, step, np.random.default_rng([given.seed, number]))
        trials += 1
        kills[step] += outcome.kills
        again = f"--seed {given.seed} --trial {number}"
        wrong += [f"{words} ({again})" for words in outcome.wrong]
        print(f"{number} {step}: {len(outcome.kills)} kills", *outcome.wrong, sep="\n  ", flush=True)
    return kills, wrong, trials


def kill_snakemake(finished: Path, place: Path, given: argparse.Namespace) -> bool:
    """Kill Snakemake some times; whether anything was wrong."""
    everything = []
    for number in range(given.snakemake):
        wrong = workflows.trial(
            finished, place / str(number), number, np.random.default_rng([given.seed, number])
        )
        print(
            f"Snakemake, {workflows.signal_of(number).name}:",
            *(wrong or ["the same"]),
            sep="\n  ",
            flush=True,
        )
        everything += wrong
    return bool(everything)


def report(kills: dict[str, list[Kill]], wrong: list[str], trials: int) -> bool:
    """Print the counts; whether anything was wrong."""
    rows = []
    everything = [kill for of_step in kills.values() for kill in of_step]
    for step, of_step in [*kills.items(), ("all", everything)]:
        by_signal = Counter(kill.signal for kill in of_step)
        ways = [sum(k.fresh for k in of_step), sum(k.operation > 0 for k in of_step)]
        rows.append([step, *(str(n) for n in (*(by_signal[s] for s in SIGNALS), *ways, len(of_step)))])
    head = ["step", *(s.name for s in SIGNALS), "new interpreter", "at a file operation", "all"]
    print_table("Kills", head, rows)
    print(*wrong, f"{trials} trials, {len(wrong)} things wrong", sep="\n")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
