"""Edits of a project that are taken back, which spares a copy of it for each test."""

import os
from pathlib import Path

from tests.workflow.calls import Caller
from tests.workflow.conftest import planned


def edit(path: Path, old: str, new: str) -> None:
    """Replace a text that a file has."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


class Study:
    """A finished study whose files may be edited, and a Snakemake that has parsed its code before."""

    def __init__(self, folder: Path):
        self.folder, self._call = folder, Caller(folder)
        self._before: dict[Path, tuple[bytes, os.stat_result]] = {}

    def __enter__(self) -> "Study":
        return self

    def __exit__(self, *_) -> None:
        self._call.close()

    def planned(self, *arguments: str) -> dict[str, int]:
        """The number of jobs that Snakemake would run, by rule."""
        return planned(self.folder, *arguments, call=self._call)

    def edit(self, file: str, old: str, new: str) -> None:
        """Replace a text that a file of the project has."""
        path = self.folder / file
        self._before.setdefault(path, (path.read_bytes(), path.stat()))
        edit(path, old, new)

    def restore(self) -> None:
        """Take all edits back: files are as they were, dates included."""
        for path, (content, state) in self._before.items():
            path.write_bytes(content)
            os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
        self._before.clear()
