"""A results folder, and the provenance of what is in it."""

import json
from pathlib import Path

import h5py

from transferlens.core import store
from transferlens.core.errors import ArtefactError, nearest


class ResultsFolder:
    """A results folder whose artefacts are opened by kind.

    Raises:
        ArtefactError: the folder or the file asked for is missing, damaged, or of a newer schema.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise ArtefactError(f"{folder}: no such results folder; run snakemake to make it")

    def _open(self, path: str, kind: str):
        full = self.folder / path
        if not full.exists():
            made = [str(p.relative_to(self.folder)) for p in full.parent.parent.glob("*/*.h5")]
            raise ArtefactError(f"{full}: no such file" + (nearest(path, made) if made else ""))
        return store.open(full, kind)


def provenance(file: h5py.File) -> dict:
    """Attributes of an artefact that say how it was made."""
    plain = ("kind", "created", "transferlens_version", "git_commit", "device")
    return {k: file.attrs[k] for k in plain} | {
        "config": store.settings(file),
        "software": json.loads(file.attrs["software"]),
    }
