"""Artefacts as labelled xarray data sets: what is in the file, under the same names."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import h5py

from transferlens.core import artefacts
from transferlens.core.artefacts import Artefact
from transferlens.core.errors import ArtefactError, nearest

if TYPE_CHECKING:
    import xarray as xr


def read(path: str | Path, artefact: Artefact, group: str = "") -> "xr.Dataset":
    """A whole artefact in memory; of one with groups to choose from, the root's variables and those of one.

    Args:
        group: by default the artefact's own choice.

    Raises:
        ArtefactError: as `artefacts.open`; or no such group.
    """
    import xarray as xr

    with artefacts.open(path, artefact) as file:
        if artefact.choose:
            group = group or artefact.choose[1]
            known = [name for name in file if isinstance(file[name], h5py.Group)]
            if group not in known:
                raise ArtefactError(f"{path}: no {artefact.choose[0]} '{group}'" + nearest(group, known))
    options = {"engine": "h5netcdf", "driver_kwds": {"locking": False}}
    with xr.open_dataset(path, **options) as root:
        made = root.load()
    if artefact.choose:
        with xr.open_dataset(path, group=group, **options) as inner:
            made = made.merge(inner.load(), join="exact")
        made.attrs[artefact.choose[0]] = group
    return made.drop_encoding()


def settings(dataset: "xr.Dataset") -> dict[str, Any]:
    """The settings that a data set's artefact was made with."""
    return json.loads(dataset.attrs["settings"])
