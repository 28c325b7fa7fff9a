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

_REFERENCES = "DIMENSION_LIST"  # the attribute of an array that refers to its dimensions


def read(path: str | Path, artefact: Artefact, group: str = "") -> "xr.Dataset":
    """A whole artefact in memory; of one with groups to choose from, the root's variables and those of one.

    Args:
        group: by default the artefact's own choice.

    Raises:
        ArtefactError: as `artefacts.open`; or no such group.
    """
    import xarray as xr

    with artefacts.open(path, artefact) as file:
        _require_dimensions(file, artefact)
        if not artefact.choose:
            return _loaded(file).drop_encoding()
        keyword, default = artefact.choose
        group = group or default
        known = [name for name in file if isinstance(file[name], h5py.Group)]
        if group not in known:
            raise ArtefactError(f"{path}: no {keyword} '{group}'" + nearest(group, known))
        _require_dimensions(file, artefact, group)
        made = xr.merge([_loaded(file), _loaded(file, group)], join="exact", combine_attrs="override")
        return made.assign_attrs({keyword: group}).drop_encoding()


def _require_dimensions(file: h5py.File, artefact: Artefact, group: str = "/") -> None:
    """Refuse arrays whose dimensions are not those declared: HDF5 has no checksum of what refers to them."""
    for name, item in file[group].items():
        if isinstance(item, h5py.Dataset) and item.shape and not item.is_scale:
            declared = _declared(artefact, item.name.removeprefix("/"))
            if _dimensions(item) != declared:
                reason = OSError(f"'{name}' has lost its dimensions {', '.join(declared)}")
                raise artefacts.damaged(file.filename, reason)


def _declared(artefact: Artefact, name: str) -> tuple[str, ...]:
    """The dimensions of an array; if not declared, its own, as it may have been one itself."""
    try:
        return artefact.field(name).dims
    except KeyError:
        return (name,)


def _dimensions(array: h5py.Dataset) -> tuple[str, ...]:
    """Names of an array's dimensions; none if one cannot be followed."""
    try:
        scales = [array.file[references[-1]] for references in array.attrs[_REFERENCES]]
        return tuple(scale.name.rpartition("/")[2] for scale in scales)
    except (OSError, LookupError, RuntimeError, ValueError, AttributeError):
        return ()


def _loaded(file: h5py.File, group: str | None = None) -> "xr.Dataset":
    """The variables of a group of an open file."""
    import h5netcdf
    import xarray as xr
    from xarray.backends import H5NetCDFStore

    return xr.open_dataset(H5NetCDFStore(h5netcdf.File(file, "r"), group=group)).load()


def settings(dataset: "xr.Dataset") -> dict[str, Any]:
    """The settings that a data set's artefact was made with."""
    return json.loads(dataset.attrs["settings"])
