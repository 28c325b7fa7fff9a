"""A finished study, a private copy of it in which jobs run, and how the two differ."""

import shlex
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from tests.workflow.conftest import arrays, assert_same_arrays
from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Wildcards
from transferlens.core.run import Run
from transferlens.operations import doctor
from transferlens.operations.places import Places


@dataclass(frozen=True)
class Job:
    """A job of a step: its command without `python`, the files it is made from, and those that it makes."""

    step: str
    command: list[str]
    inputs: list[str]
    outputs: list[str]

    @property
    def script(self) -> str:
        """Its script, which `core/start.py` starts."""
        return self.command[2]

    @property
    def name(self) -> str:
        """The step and the first file, as a failure names them."""
        return f"{self.step} ({self.outputs[0].removeprefix('results/')})"


class Study:
    """A finished study, and a private copy of it in which jobs run.

    Args:
        finished: the project's folder with its results, which is only read.
        folder: where the copy goes.
        runs: what its configuration asks for: as it is, and with every model in progress kept.
    """

    def __init__(self, finished: Path, folder: Path, runs: Sequence[Run]):
        self.finished, self.folder = finished, folder
        self.jobs = [self._made(jobs_of(run)) for run in runs]
        shutil.copytree(finished / "results", folder / "results", copy_function=shutil.copy2)
        self.files = files_of(folder)
        self._places = Places(runs[0])
        self._seconds: dict[str, float] = {}

    def _made(self, jobs: Mapping[str, list[Job]]) -> dict[str, list[Job]]:
        """The jobs whose files are there, by step: some steps are run only where they are asked for by name."""
        there = {
            step: [job for job in of_step if all((self.finished / p).exists() for p in job.outputs)]
            for step, of_step in jobs.items()
        }
        return {step: of_step for step, of_step in there.items() if of_step}

    @property
    def steps(self) -> list[str]:
        """The steps that have jobs."""
        return list(self.jobs[0])

    def seconds(self, job: Job, fresh: bool) -> float:
        """What a job usually takes: as last seen here, or with its imports as Snakemake measured it."""
        log = Path(job.command[job.command.index("--log") + 1])
        timed = self.finished / "results/benchmarks" / log.relative_to("results/logs").with_suffix(".tsv")
        measured = float(timed.read_text().splitlines()[1].split("\t")[0]) if timed.exists() else 5.0
        return measured if fresh else self._seconds.get(job.name, measured)

    def note(self, job: Job, seconds: float) -> None:
        """Remember what a job took."""
        self._seconds[job.name] = seconds

    def damage(self, path: str) -> str | None:
        """What is wrong with a file that is there."""
        place = self._places.of(path)
        kind = place.made if place and isinstance(place.made, Artefact) else None
        return doctor.check_file(self.folder / path, kind).damage

    def temporary(self, process: int) -> list[str]:
        """The temporary files of a process."""
        found = (self.folder / "results").rglob(f".*.{process}.tmp")
        return [str(path.relative_to(self.folder)) for path in found]

    def difference(self, path: str) -> str | None:
        """How a file differs from the finished study's."""
        one, other = self.finished / path, self.folder / path
        try:
            assert other.exists(), f"{path}: not made"
            if path.endswith(".h5"):
                assert_same_arrays(other, arrays(one))
            elif path.endswith(".png"):
                same = np.array_equal(*(np.asarray(Image.open(p)) for p in (one, other)))
                assert same, f"{path}: other pixels"
            else:
                assert one.read_bytes() == other.read_bytes(), f"{path}: another content"
        except AssertionError as error:
            return str(error)
        return None

    def changed_inputs(self, job: Job) -> list[str]:
        """Inputs of a job that are not what they were."""
        pairs = [(p, self.finished / p, self.folder / p) for p in job.inputs if p.startswith("results/")]
        return [p for p, one, other in pairs if one.read_bytes() != other.read_bytes()]

    def restore(self, jobs: Sequence[Job]) -> None:
        """Lay the finished study's files over what jobs made, and remove what else there is."""
        for path in files_of(self.folder) - self.files:
            (self.folder / path).unlink()
        for path in (path for job in jobs for path in job.outputs):
            shutil.copy2(self.finished / path, self.folder / path)


def files_of(folder: Path) -> set[str]:
    """The files of a project's results, without messages and timings."""
    found = (p.relative_to(folder) for p in (folder / "results").rglob("*") if p.is_file())
    return {str(p) for p in found if p.parts[1] not in ("logs", "benchmarks")}


def jobs_of(run: Run) -> dict[str, list[Job]]:
    """The jobs of a run by step."""
    return {step: [_job(run, step, wildcards) for wildcards in run.jobs_of(step)] for step in run.steps}


def _job(run: Run, step: str, wildcards: Wildcards) -> Job:
    inputs = run.inputs(step, wildcards)
    outputs = {name: made.at(**wildcards) for name, made in run.steps[step].outputs.items()}
    _, *command = shlex.split(run.command(step, wildcards, inputs, outputs))
    paths = [p for value in inputs.values() for p in ([value] if isinstance(value, str) else value)]
    return Job(step, command, paths, list(outputs.values()))
