"""How a killed job goes on: what it has trained is kept beside its output, and removed when that is whole.

A run in progress is kept every few minutes, and so is every run that is finished later than that after the
job began: at most these minutes are lost, and short jobs write nothing. What is kept has no part in the
results: a job that goes on ends with the same bits.
"""

import hashlib
import io
import json
import shlex
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from transferlens.core import files, fingerprint, provenance, zips
from transferlens.core.errors import ArtefactError

_IDENTITY = "identity.json"


class Progress:
    """What a job keeps, in a folder beside its output.

    Args:
        output: the file that the job makes.
        minutes: between two times that a run in progress is kept; None to keep nothing.
        identity: of what decides the results; what was kept under another one is forgotten.
    """

    def __init__(self, output: Path, minutes: float | None, identity: str):
        self.folder = output.with_name(f".{output.name}{files.PROGRESS}")
        self.begun = self.last = time.monotonic()
        self._seconds = None if minutes is None else 60 * minutes
        self._identity = identity
        if self.folder.exists() and self._found() != identity:
            self.remove()

    def of(self, model: int) -> "Kept":
        """What is kept of one of the job's models."""
        return Kept(self, f"model-{model}")

    def remove(self) -> None:
        """Forget all of it."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def due(self, last: float) -> bool:
        """Whether it is time to keep a run in progress that was last kept at this time."""
        return self._seconds is not None and time.monotonic() - last >= self._seconds

    def long(self) -> bool:
        """Whether the job has lasted so long that what is finished is kept."""
        return self._seconds is not None and time.monotonic() - self.begun >= self._seconds

    def has(self, name: str) -> bool:
        """Whether something is kept under a name."""
        return self._place(name).is_file()

    def load(self, name: str) -> dict[str, Any] | None:
        """What was kept under a name, on the CPU; None if nothing was.

        Raises:
            ArtefactError: it is damaged.
        """
        if not self.has(name):
            return None
        if fault := zips.fault(self._place(name)):
            raise ArtefactError(
                f"{self._place(name)}: what a killed job kept is damaged ({fault}); delete it and run "
                f"snakemake again to begin this training anew: rm -r {shlex.quote(str(self.folder))}"
            )
        return torch.load(self._place(name), "cpu", weights_only=True)

    def save(self, name: str, kept: Mapping[str, Any]) -> None:
        """Keep tensors and plain values under a name."""
        if not (self.folder / _IDENTITY).exists():
            with files.replace_file(self.folder / _IDENTITY) as temporary:
                temporary.write_text(self._identity)
        buffer = io.BytesIO()  # torch itself takes a full disk for a fault of its own
        torch.save(dict(kept), buffer)
        with files.replace_file(self._place(name)) as temporary:
            temporary.write_bytes(buffer.getbuffer())
        self.last = time.monotonic()

    def _place(self, name: str) -> Path:
        return self.folder / f"{name}.pt"

    def _found(self) -> str:
        path = self.folder / _IDENTITY
        return path.read_text() if path.is_file() else ""


class Kept:
    """What is kept of a model's run; of nothing, if there is no `Progress`."""

    def __init__(self, progress: Progress | None = None, name: str = ""):
        self._progress, self._name = progress, name
        # Of its own, as several runs may be in progress.
        self._last = progress.last if progress else 0.0

    def of_run(self, number: int) -> "Kept":
        """That of one of the runs that make the model."""
        return Kept(self._progress, f"{self._name}-run-{number}")

    def due(self) -> bool:
        """Whether it is time to keep the state of the run."""
        return self._progress is not None and self._progress.due(self._last)

    def state(self) -> dict[str, Any] | None:
        """The state of the run when it was last kept; None if it never was."""
        return self._progress and self._progress.load(f"{self._name}-state")

    def keep_state(self, state: Mapping[str, Any]) -> None:
        """Keep the state of the run."""
        self._progress.save(f"{self._name}-state", state)
        self._last = self._progress.last

    def has_checkpoint(self, position: int) -> bool:
        """Whether the state of a network along the way is kept."""
        return self._progress is not None and self._progress.has(f"{self._name}-checkpoint-{position}")

    def checkpoint(self, position: int) -> dict[str, Any] | None:
        """The state of a network along the way."""
        return self._progress and self._progress.load(f"{self._name}-checkpoint-{position}")

    def keep_checkpoint(self, position: int, state: Mapping[str, Any]) -> None:
        """Keep the state of a network along the way."""
        self._progress.save(f"{self._name}-checkpoint-{position}", state)

    def outcome(self) -> dict[str, Any] | None:
        """What became of the run; None if that was not kept."""
        return self._progress and self._progress.load(f"{self._name}-outcome")

    def keep_outcome(self, outcome: Mapping[str, Any]) -> None:
        """Keep what became of the run."""
        self._progress.save(f"{self._name}-outcome", outcome)

    def long(self) -> bool:
        """Whether the job has lasted so long that what becomes of its runs is kept."""
        return self._progress is not None and self._progress.long()


NOTHING = Kept()


def progress(output: Path, minutes: float | None, script: str, code: Sequence[str]) -> Progress:
    """The progress of the present job.

    Args:
        script: its name in scripts/.
        code: what the script reaches by a name in its settings only, as in its `Step`.
    """
    return Progress(output, minutes, _identity(script, code) if minutes is not None else "")


def _identity(script: str, code: Sequence[str]) -> str:
    """All that decides the bits of the job's results: settings, seed, inputs, code, software and device."""
    now = provenance.current
    inputs = [(str(path), path.stat().st_size, path.stat().st_mtime_ns) for path in now.inputs]
    decided = [now.settings, now.seed, inputs, fingerprint.fingerprint(script, *code)]
    decided += [provenance.software(), now.device, torch.get_num_threads()]
    return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()
