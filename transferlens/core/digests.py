"""Digests of what holds none itself: tables, pictures, pages.

HDF5 has checksums inside, an FFCV file has one in its manifest. Of every other file of a results folder, the
job that made it records the SHA-256 below results/digests, at the same place, as one line of the program
sha256sum. So a folder can be checked without this software, from where its jobs ran:

    find results/digests -type f -exec cat {} + | sha256sum --check --quiet
"""

import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from transferlens.core import files
from transferlens.core.artefacts import RESULTS
from transferlens.core.errors import ArtefactError

FOLDER = "digests"
# Files with a digest of their own.
_OWN = (".h5", ".beton")
_LONGEST = 10_000  # bytes of such a line
_LINE = re.compile(r"([0-9a-f]{64})  (.+)\n")


def has_own(path: str | Path) -> bool:
    """Whether a file of this name holds its digest itself, or its manifest does."""
    return Path(path).suffix in _OWN


def forget(outputs: Iterable[Path]) -> None:
    """Remove the records of files that are about to be made, so that a killed job leaves none that is wrong.

    Raises:
        ArtefactError: a record cannot be removed.
    """
    for _, inside in _recorded(outputs):
        path = place(Path(RESULTS), inside)
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise files.unwritable(path, error) from error


def record(outputs: Iterable[Path]) -> None:
    """Record the digests of files that were just made.

    Raises:
        ArtefactError: a record cannot be written.
    """
    for path, inside in _recorded(path for path in outputs if path.is_file()):
        with files.replace_file(place(Path(RESULTS), inside)) as temporary:
            temporary.write_text(f"{files.sha256(path)}  {RESULTS}/{inside}\n", encoding="utf-8")


def _recorded(outputs: Iterable[Path]) -> Iterator[tuple[Path, str]]:
    """The outputs whose digests a job records, each with its place in the folder of results.

    A file that a user has put elsewhere is none.
    """
    for path in outputs:
        inside = Path(os.path.relpath(path, RESULTS))
        if inside.parts[0] != os.pardir and not has_own(path):
            yield path, inside.as_posix()


def read(folder: Path, inside: str) -> str | None:
    """The SHA-256 that a file of a results folder had when it was made; None where none is recorded.

    Raises:
        ArtefactError: the record is no such line, or that of another file.
    """
    path = place(folder, inside)
    try:
        with files.plain(path).open("rb") as file:
            match = _LINE.fullmatch(file.read(_LONGEST).decode(errors="replace"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ArtefactError(f"{path}: cannot be read ({files.first_line(error)})") from error
    if not match or match[2] != f"{RESULTS}/{inside}":
        raise ArtefactError(f"{path}: damaged, or the digest of another file")
    return match[1]


def place(folder: Path, inside: str) -> Path:
    """Where the digest of a file of a results folder is recorded."""
    return folder / FOLDER / f"{inside}.sha256"
