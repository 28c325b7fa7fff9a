"""Snakemake on a composed study, in a process of its own: its progress in a line, its failures in one."""

import csv
import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from transferlens.core.errors import TransferlensError
from transferlens.operations import driven, project
from transferlens.operations.recommend.composing import CONFIG
from transferlens.operations.recommend.pricing import Job

LOG = "snakemake.log"
_SECONDS_BETWEEN_LOOKS = 2
_SECONDS_BETWEEN_LINES = 300


class Progress:
    """How far a study is, by the files that are there.

    Args:
        planned: seconds of every job, by its position in `jobs`.
        cores: how many jobs run at a time.
    """

    def __init__(self, out: Path, jobs: Sequence[Job], planned: Sequence[float], cores: int):
        self._out, self._jobs, self._planned, self._cores = out, jobs, planned, cores

    def done(self) -> list[bool]:
        """Of every job."""
        return [all((self._out / path).exists() for path in job.outputs) for job in self._jobs]

    def line(self) -> str:
        """`37 of 120 jobs, about 14 min left`."""
        done = self.done()
        if all(done):
            return f"all {len(done)} jobs are done"
        return f"{sum(done)} of {len(done)} jobs, about {in_words(self.left(done))} left"

    def left(self, done: Sequence[bool]) -> float:
        """Seconds: the plan of what is not done, times how much longer than planned the done jobs took.

        Before they are many, the plan itself counts beside them, like a tenth of all jobs.
        """
        taken = {i: self._taken(self._jobs[i]) for i, is_done in enumerate(done) if is_done}
        known = [i for i, seconds in taken.items() if seconds is not None]
        believed = sum(self._planned) / 10
        planned = sum(self._planned[i] for i in known)
        factor = (believed + sum(taken[i] for i in known)) / (believed + planned)
        waiting = [seconds for seconds, is_done in zip(self._planned, done, strict=True) if not is_done]
        return factor * max(sum(waiting) / self._cores, max(waiting, default=0.0))

    def _taken(self, job: Job) -> float | None:
        """Seconds that a job took, where Snakemake has noted them."""
        try:
            with (self._out / job.timing).open(encoding="utf-8") as file:
                return float(next(csv.DictReader(file, delimiter="\t"))["s"])
        except (OSError, KeyError, ValueError, StopIteration):
            return None


def in_words(seconds: float) -> str:
    """A duration, no finer than it is known."""
    if seconds < 90:
        return f"{max(round(seconds, -1), 10):.0f} s"
    if seconds < 5400:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"


def run(out: Path, cores: int, progress: Progress, say: Callable[[str], None]) -> None:
    """Run the study of a folder to its end.

    Raises:
        TransferlensError: a job failed; its own line, and where the log is.
    """
    log = out / LOG
    try:
        with (
            log.open("w", encoding="utf-8") as file,
            driven.started(command(out, cores), file, environment=_environment()) as process,
        ):
            _watch(process, progress, say)
    except (KeyboardInterrupt, SystemExit):
        say("Stopped. The same command goes on from what is finished.")
        raise
    if process.returncode:
        unlock = f"snakemake --unlock --directory {out} --configfile {out / CONFIG}"
        raise TransferlensError(driven.failure(log, out, unlock))


def _watch(process: subprocess.Popen, progress: Progress, say: Callable[[str], None]) -> None:
    """Say how far it is whenever that changes, and every few minutes."""
    said, when = "", 0.0
    while process.poll() is None:
        line = progress.line()
        count, now = line.partition(",")[0], time.monotonic()
        if count != said or now - when > _SECONDS_BETWEEN_LINES:
            say(line)
            said, when = count, now
        with suppress(subprocess.TimeoutExpired):
            process.wait(_SECONDS_BETWEEN_LOOKS)


def command(out: Path, cores: int) -> list[str]:
    """Snakemake on the study of a folder."""
    given = {
        "--snakefile": project.OWN / "Snakefile",
        "--workflow-profile": project.OWN / "profiles/default",
        "--directory": out,
        "--cores": cores,
        "--configfile": out / CONFIG,
    }
    return [sys.executable, "-m", "snakemake", *(str(part) for pair in given.items() for part in pair)]


def _environment() -> Mapping[str, str]:
    """Several jobs share the cores, and each takes one."""
    return {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
