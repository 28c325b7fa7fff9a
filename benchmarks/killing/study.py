"""A finished study, a private copy of it in which jobs run, and how the two differ."""

import re
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

from tests.workflow.conftest import arrays, assert_same_arrays
from transferlens.core.artefacts import Artefact
from transferlens.core.capability import Wildcards
from transferlens.core.digests import FOLDER as DIGESTS
from transferlens.core.run import Run
from transferlens.operations import checked
from transferlens.operations.places import Places

# In pages: dates, and the commit that made them.
_MADE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d)?|\b[0-9a-f]{40}\b")


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
    def all(self) -> list[str]:
        """Its files."""
        return [*self.inputs, *self.outputs]

    @property
    def name(self) -> str:
        """The step and the first file, as a failure names them."""
        return f"{self.step} ({self.outputs[0].removeprefix('results/')})"


class Study:
    """A finished study, and a copy of it in which jobs run.

    Args:
        finished: the project's folder with its results, which is only read.
        folder: where both go.
        runs: what its configuration asks for: as it is, and with every model in progress kept.
    """

    def __init__(self, finished: Path, folder: Path, runs: Sequence[Run]):
        self.finished, self.folder = folder / "finished", folder / "copy"
        self.jobs = [jobs_of(run) for run in runs]
        for place in (self.finished, self.folder):
            others = shutil.ignore_patterns(DIGESTS)  # jobs record those of what they make
            shutil.copytree(finished / "results", place / "results", ignore=others)
        self._places = Places(runs[0])
        self._seconds: dict[str, float] = {}

    @property
    def steps(self) -> list[str]:
        """The steps that have jobs."""
        return list(self.jobs[0])

    @property
    def files(self) -> set[str]:
        """The finished study's files."""
        return files_of(self.finished)

    def lacks_files(self, steps: Sequence[str]) -> bool:
        """Whether files of these steps cannot be compared yet."""
        return any(self._unknown(p) for step in steps for job in self.jobs[0][step] for p in job.all)

    def _unknown(self, path: str) -> bool:
        """Whether a file was deleted when nobody needed it any more, or is a page, which says who made it."""
        return not (self.finished / path).exists() or path.endswith(".html")

    def unmade(self) -> list[Job]:
        """The jobs of files that cannot be compared, and of what depends on them, in an order to run."""
        jobs = [job for of_step in self.jobs[0].values() for job in of_step]
        made_anew = {p for job in jobs for p in job.outputs if self._unknown(p)}
        ordered: list[Job] = []
        while found := [job for job in jobs if job not in ordered and made_anew.intersection(job.all)]:
            made_anew.update(path for job in found for path in job.outputs)
            waiting = {path for job in found for path in job.outputs}
            ordered += [job for job in found if not waiting.intersection(job.inputs)]
        return ordered

    def keep(self, job: Job) -> None:
        """Take what a job made into the finished study."""
        for path in job.outputs:
            (self.finished / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(self.folder / path, self.finished / path)

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
        if path.endswith(".beton") and not (self.folder / path).with_suffix(".h5").exists():
            return None  # its checksum is not written yet
        place = self._places.of(path)
        kind = place.made if place and isinstance(place.made, Artefact) else None
        found = checked.check_file(self.folder / path, kind, self.folder / "results")
        return found and found.damage

    def temporary(self, process: int) -> list[str]:
        """The temporary files of a process."""
        found = (self.folder / "results").rglob(f".*.{process}.tmp")
        return [str(path.relative_to(self.folder)) for path in found]

    def difference(self, path: str) -> str | None:
        """How a file differs from the finished study's."""
        return difference(path, self.finished / path, self.folder / path)

    def changed_inputs(self, job: Job) -> list[str]:
        """Inputs of a job that are not what they were."""
        pairs = [(p, self.finished / p, self.folder / p) for p in job.inputs if p.startswith("results/")]
        return [p for p, one, other in pairs if one.read_bytes() != other.read_bytes()]

    def restore(self, jobs: Sequence[Job]) -> None:
        """Lay the finished study's files over what jobs made, and remove what else there is."""
        shutil.rmtree(self.folder / "results" / DIGESTS, ignore_errors=True)
        for path in files_of(self.folder) - self.files:
            (self.folder / path).unlink()
        for path in (path for job in jobs for path in job.outputs):
            shutil.copy2(self.finished / path, self.folder / path)


def difference(path: str, one: Path, other: Path) -> str | None:
    """How two files differ, but for what they took and when they were made; None where they do not.

    Args:
        path: what both are called in a message.
    """
    try:
        assert other.exists(), f"{path}: not made"
        if path.endswith(".h5"):
            assert_same_arrays(other, {**arrays(one), **measured(other)})
        elif path.endswith(".png"):
            same = np.array_equal(*(np.asarray(Image.open(p)) for p in (one, other)))
            assert same, f"{path}: other pixels"
        elif path.endswith(".html"):
            same = _MADE.sub("", one.read_text()) == _MADE.sub("", other.read_text())
            assert same, f"{path}: another text"
        else:
            assert one.read_bytes() == other.read_bytes(), f"{path}: another content"
    except AssertionError as error:
        return str(error)
    return None


def measured(path: Path) -> dict[str, np.ndarray]:
    """The arrays of an artefact that hold how long something took."""
    with h5py.File(path) as file:
        return {name: file[name][()] for name in file if name.endswith("seconds")}


def files_of(folder: Path) -> set[str]:
    """The files of a project's results, without messages, timings and digests."""
    found = (p.relative_to(folder) for p in (folder / "results").rglob("*") if p.is_file())
    return {str(p) for p in found if p.parts[1] not in ("logs", "benchmarks", DIGESTS)}


def jobs_of(run: Run) -> dict[str, list[Job]]:
    """The jobs of a run by step."""
    jobs = {step: [_job(run, step, wildcards) for wildcards in run.jobs_of(step)] for step in run.steps}
    return {step: of_step for step, of_step in jobs.items() if of_step}


def _job(run: Run, step: str, wildcards: Wildcards) -> Job:
    inputs = run.inputs(step, wildcards)
    outputs = {name: made.at(**wildcards) for name, made in run.steps[step].outputs.items()}
    _, *command = shlex.split(run.command(step, wildcards, inputs, outputs))
    paths = [p for value in inputs.values() for p in ([value] if isinstance(value, str) else value)]
    return Job(step, command, paths, list(outputs.values()))
