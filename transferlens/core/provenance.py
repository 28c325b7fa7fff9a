"""What every artefact says of its making, gathered once for the whole job.

A job makes its artefacts from one set of settings and inputs. `job` notes them here before the work begins,
the device is noted when it is picked, and whoever writes an artefact finds them: nothing is passed along, and
nothing can be left out.
"""

import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

_SOFTWARE = ("torch", "torchvision", "numpy", "h5py", "ffcv", "torchcam")


@dataclass
class Provenance:
    """Attributes:
    settings: exactly those that decide the result.
    inputs: the files it is made from.
    seed: of the run; None outside one.
    device: where it is computed, 'cpu' or the GPU's name.
    """

    settings: Mapping[str, Any] = field(default_factory=dict)
    inputs: Sequence[Path] = ()
    seed: int | None = None
    device: str = "cpu"


current = Provenance()


def begin(settings: Mapping[str, Any], inputs: Sequence[Path] = (), seed: int | None = None) -> None:
    """Note what the artefacts of this job are made from."""
    current.settings, current.inputs, current.seed = settings, tuple(inputs), seed
    current.device = "cpu"


@contextmanager
def nothing() -> Iterator[None]:
    """A while in which artefacts are made from nothing: trials, which nobody keeps."""
    before = vars(current).copy()
    begin({})
    try:
        yield
    finally:
        vars(current).update(before)


@cache
def software() -> dict[str, str]:
    """Versions of the libraries that decide numbers."""
    versions = {}
    for name in _SOFTWARE:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


@cache
def git_commit() -> str:
    """The commit of this source tree, or '' outside one."""
    try:
        return subprocess.run(
            ["git", "-C", str(Path(__file__).parent), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""
