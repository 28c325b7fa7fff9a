"""Trials: one or two jobs of a step, killed once or more, run to their end, and looked at.

What a trial does follows from its seed, and from how long jobs take.
"""

import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from killing.processes import Kill, Started
from killing.study import Job, Study, files_of

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)


@dataclass
class Outcome:
    """What came of a trial.

    Attributes:
        kills: the kills that met a job before its end.
        wrong: what should not have been, in words.
    """

    kills: list[Kill] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def complete(study: Study) -> None:
    """Make the files that cannot be compared yet, and what depends on them, which stays the same."""
    for job in study.unmade():
        run = Started(job, study.folder, None)
        assert run.end() == 0, run.said()
        there = [path for path in job.outputs if (study.finished / path).exists()]
        wrong = [study.difference(path) for path in there if not path.endswith(".html")]
        assert not any(wrong), wrong
        study.keep(job)


def draw_kill(rng: np.random.Generator, job: Job, seconds: Callable[[Job, bool], float]) -> Kill:
    """One kill of a job."""
    way = rng.choice(["time", "operation", "fresh"], p=[0.5, 0.3, 0.2])
    fresh = way == "fresh"
    return Kill(
        SIGNALS[rng.integers(len(SIGNALS))],
        bool(rng.integers(2)),
        fresh,
        float(rng.uniform(0, seconds(job, fresh))),
        int(rng.integers(1, 3 * len(job.outputs) + 1)) if way == "operation" else 0,
    )


def trial(study: Study, step: str, rng: np.random.Generator) -> Outcome:
    """Kill one or two jobs of a step, several times perhaps, run them to their end, look, and restore."""
    jobs = study.jobs[rng.integers(len(study.jobs))][step]
    jobs = [jobs[i] for i in rng.permutation(len(jobs))[: rng.integers(1, 3)]]
    outcome = Outcome()
    if rng.random() < 0.8:  # else they are left in place, as those of a step that updates its output
        for path in (path for job in jobs for path in job.outputs):
            (study.folder / path).unlink()
    for _ in range(rng.integers(1, 4)):
        _interrupt(study, [(job, draw_kill(rng, job, study.seconds)) for job in jobs], outcome)
    for job in jobs:
        _complete(study, job, outcome)
    left = sorted(files_of(study.folder) - study.files)
    outcome.wrong += [f"{path}: left behind" for path in left]
    study.restore(jobs)
    return outcome


def _interrupt(study: Study, kills: Sequence[tuple[Job, Kill]], outcome: Outcome) -> None:
    """Start jobs beside each other, kill each, and look at what is there."""
    started = [Started(job, study.folder, kill) for job, kill in kills]
    for one in sorted(started, key=lambda one: one.kill.seconds):
        one.strike()
    for one in started:
        if one.end() == 0:
            continue  # the job was faster
        outcome.kills.append(one.kill)
        outcome.wrong += [f"{one.job.name}, {one.kill}: {words}" for words in _look(study, one)]


def _look(study: Study, one: Started) -> list[str]:
    """What is wrong right after a kill."""
    wrong = [f"process {process.pid} still runs" for process in one.remaining()]
    said = one.said()
    if len(said) > 1:
        wrong.append("prints:\n    " + "\n    ".join(said))
    if one.kill.signal != signal.SIGKILL:  # after which nobody can remove it but the next job
        wrong += [f"{path}: left behind" for path in study.temporary(one.pid)]
    there = [path for path in one.job.outputs if (study.folder / path).exists()]
    return wrong + [f"{path}: {damage}" for path in there if (damage := study.damage(path))]


def _complete(study: Study, job: Job, outcome: Outcome) -> None:
    """Run a job to its end; it makes what the finished study has, from untouched inputs."""
    run = Started(job, study.folder, None)
    if run.end() != 0 or run.said():
        outcome.wrong.append(f"{job.name}, run again: status {run.status}\n    " + "\n    ".join(run.said()))
    study.note(job, time.monotonic() - run.begun)
    outcome.wrong += [words for path in job.outputs if (words := study.difference(path))]
    outcome.wrong += [f"{path}: an input of {job.name}, changed" for path in study.changed_inputs(job)]
