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
        if not artefact.choose:
            return _loaded(file).drop_encoding()
        keyword, default = artefact.choose
        group = group or default
        known = [name for name in file if isinstance(file[name], h5py.Group)]
        if group not in known:
            raise ArtefactError(f"{path}: no {keyword} '{group}'" + nearest(group, known))
        made = xr.merge([_loaded(file), _loaded(file, group)], join="exact", combine_attrs="override")
        return made.assign_attrs({keyword: group}).drop_encoding()


def _loaded(file: h5py.File, group: str | None = None) -> "xr.Dataset":
    """The variables of a group of an open file."""
    import h5netcdf
    import xarray as xr
    from xarray.backends import H5NetCDFStore

    return xr.open_dataset(H5NetCDFStore(h5netcdf.File(file, "r"), group=group)).load()


def settings(dataset: "xr.Dataset") -> dict[str, Any]:
    """The settings that a data set's artefact was made with."""
    return json.loads(dataset.attrs["settings"])
