"""Every file of a results folder, read to its last byte: is it whole, and what does it say of its making?"""

import csv
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import h5py

from transferlens.core import artefacts, digests, files, job
from transferlens.core.artefacts import Artefact
from transferlens.core.errors import ArtefactError
from transferlens.core.files import PROGRESS
from transferlens.core.run import Run
from transferlens.data.artefacts import DECODED, INDEX, MANIFEST
from transferlens.operations.places import Places

# Folders with messages, timings and digests, which are no artefacts.
_PLAIN = ("logs", "benchmarks", digests.FOLDER)


@dataclass(frozen=True)
class Found:
    """What lies in a results folder.

    Attributes:
        files: artefacts, and what is made beside them.
        unfinished: temporary files, and folders of jobs in progress.
        closed: folders that may not be looked into.
    """

    files: list[Path]
    unfinished: list[Path]
    closed: list[Path]


@dataclass(frozen=True)
class Checked:
    """What one file says of itself.

    Attributes:
        damage: what is wrong with it; None when nothing is.
        size: bytes.
        sha256: of its content ('' where it is damaged).
        is_recorded: whether it is known what its content was when it was made.
        settings, inputs: as recorded in an artefact; None and {} for other files.
        rows: the numbers of the rows of its study that it holds; None where it has none.
    """

    path: str
    damage: str | None
    size: int
    sha256: str = ""
    is_recorded: bool = True
    settings: Mapping[str, Any] | None = None
    inputs: Mapping[str, str] = field(default_factory=dict)
    rows: tuple[int, ...] | None = None


def find_files(folder: Path) -> Found:
    """Look for every file of a results folder but messages, timings, digests and decoded copies."""
    there, closed = [], []
    for place, folders, names in os.walk(folder):
        here = Path(place)
        if here == folder:
            folders[:] = [name for name in folders if name not in _PLAIN]
        folders[:] = [name for name in folders if not name.endswith(DECODED)]
        closed += [here / name for name in folders if not _may(here / name, os.R_OK | os.X_OK)]
        folders[:] = [name for name in folders if here / name not in closed]
        there += [here / name for name in names if (here / name).exists()]
    temporary = [p for p in there if p.name.startswith(".") and p.name.endswith(".tmp")]
    progress = {p.parent for p in there if p.parent.name.endswith(PROGRESS)}
    whole = [p for p in there if p not in set(temporary) and p.parent not in progress]
    left = [p for p in temporary if p.parent not in progress]
    return Found(sorted(whole), sorted(left) + sorted(progress), sorted(closed))


def _may(path: Path, how: int) -> bool:
    """Whether this process may do something with a path."""
    return os.access(path, how, effective_ids=True)


def check_files(run: Run, folder: Path, paths: Sequence[Path], workers: int) -> list[Checked]:
    """Read every file to its last byte, several at a time (HDF5 reads one at a time in a process)."""
    places = Places(run)
    declared = [places.of(path.relative_to(folder).as_posix()) for path in paths]
    kinds = [place.made if place and isinstance(place.made, Artefact) else None for place in declared]
    with ProcessPoolExecutor(workers, mp_context=get_context("fork")) as pool:
        checked = pool.map(check_file, paths, kinds, repeat(folder), chunksize=8)
        return [one for one in job.progress(checked, "check", "files", len(paths)) if one]


def check_file(path: Path, kind: Artefact | None, folder: Path) -> Checked | None:
    """Read one file of a results folder; None if it is gone by now.

    Args:
        kind: what its place says that it is, if it says that.
    """
    size = 0
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise ArtefactError("no regular file")  # to open a pipe waits for ever
        recorded = _check_artefact(path, kind) if path.suffix == ".h5" else _check_other(path, folder)
        return Checked(str(path), None, size, **recorded)
    except Exception as error:  # whatever a reader makes of a broken file
        return Checked(str(path), files.first_line(error), size) if path.exists() else None


def _check_artefact(path: Path, kind: Artefact | None) -> dict[str, Any]:
    """The provenance of an HDF5 artefact all of whose checksums are right."""
    with artefacts.open(path, kind) as file:
        if damage := artefacts.first_damage(file):
            raise damage
        if kind:
            artefacts.require_declared(path, file, kind)
        of_study = "study" in (kind.wildcards if kind else ())
        recorded = {
            "settings": artefacts.settings_of(file),
            "inputs": artefacts.inputs_of(file),
            "rows": tuple(file["model"][:].tolist()) if of_study and "model" in file else None,
        }
        if kind and kind.kind == MANIFEST.kind:
            _check_count(path, file)
    return {"sha256": files.sha256(path), **recorded}


def _check_count(path: Path, manifest: h5py.File) -> None:
    """Refuse a manifest of more or fewer images than its index has."""
    index, written = path.with_name("index.h5"), int(manifest.attrs["examples"])
    try:
        with artefacts.open(index, INDEX) as file:
            expected = len(file[f"{path.stem}_example"])
    except ArtefactError:
        return  # the index has a line of its own
    if written != expected:
        raise ArtefactError(f"of {written} images, but {index} has {expected}")


def _check_other(path: Path, folder: Path) -> dict[str, Any]:
    """The checksum of an FFCV file; that of any other file against its record, or else its format."""
    if path.suffix == ".beton":
        return {"sha256": _check_beton(path)}
    inside = path.relative_to(folder).as_posix()
    now, recorded = files.sha256(path), digests.read(folder, inside)
    if recorded is None:
        _FORMATS.get(path.suffix, lambda path: None)(path)
    elif recorded != now:
        raise ArtefactError(
            f"not as it was made (SHA-256 in {digests.place(folder, inside)}); if somebody edited it, keep a "
            "copy elsewhere"
        )
    return {"sha256": now, "is_recorded": recorded is not None}


def _check_beton(path: Path) -> str:
    """The checksum of an FFCV file, which its manifest holds, too."""
    now = files.sha256(path)
    with artefacts.open(path.with_suffix(".h5"), MANIFEST) as manifest:
        if now != manifest.attrs["sha256"]:
            raise ArtefactError("its content is not what was written (SHA-256)")
    return now


def _check_png(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as image:
        image.verify()


def _check_svg(path: Path) -> None:
    ElementTree.parse(path)


def _check_csv(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        lines = list(file)
    widths = {len(row) for row in csv.reader(lines)}
    if len(widths) != 1 or not lines[-1].endswith("\n"):
        raise ArtefactError("cut off: its rows are of different lengths, or the last has no end")


def _check_html(path: Path) -> None:
    if not path.read_text(encoding="utf-8").rstrip().endswith("</html>"):
        raise ArtefactError("cut off: it has no end")


_FORMATS = {".png": _check_png, ".svg": _check_svg, ".csv": _check_csv, ".html": _check_html}
