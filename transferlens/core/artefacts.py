"""Artefacts: HDF5 files that are declared, written atomically, and open in any tool of the field.

A room declares what its files hold (`Artefact`, `Field`, `estimate`); the writer takes dimensions, types and
meanings from there and refuses what is not declared. Dimensions are HDF5 dimension scales with their
coordinates, so that `xarray.open_datatree(path, engine="h5netcdf")` shows the same names as the read API. A
file knows the place it was made for: a whole file of another shard, target or recipe is refused by name.
"""

import json
import math
import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from transferlens import __version__
from transferlens.core import files, provenance
from transferlens.core.errors import ArtefactError, DataError, printable

SCHEMA_VERSION = 2
RESULTS = "results"
# What netCDF calls a dimension that has no coordinates.
_NO_COORDINATES = "This is a netCDF dimension but not a netCDF variable. {:10d}"
_CHUNK_BYTES = 1 << 20
# What h5py raises on files that are damaged, or not as declared.
_UNREADABLE = (
    OSError,
    RuntimeError,
    LookupError,
    AttributeError,
    ValueError,
    TypeError,
    ArithmeticError,
    MemoryError,
)
# Bytes of an array, and how many times those of its file, above which it cannot be there, as gzip packs 1032
# times at most: what is missing would be read as zeros, until memory is full.
_LARGE, _PACKED = 1 << 28, 2000
# What every artefact says of its making.
_HEADER = ("kind", "schema_version", "place", "place_pattern", "settings", "inputs")


@dataclass(frozen=True)
class Field:
    """An array of an artefact.

    Attributes:
        name: in the file; `group/name` within a group, `*/name` in any group.
        dims: a word of the vocabulary for each axis. A field named as its only dimension holds coordinates.
        dtype: what is stored: a NumPy type; `str` for names; `np.unsignedinteger`, as wide as the values ask.
        meaning: what one cell holds.
        optional: whether a file may lack it.
        compress: whether its values are worth it; by default all but floating-point numbers, whose digits are
            noise.
    """

    name: str
    dims: tuple[str, ...]
    dtype: Any
    meaning: str
    units: str = ""
    optional: bool = False
    compress: bool | None = None


_PARTS = {
    "se": "standard error of {}",
    "low": "lower end of the 95 % interval of {}",
    "high": "upper end of the 95 % interval of {}",
    "p": "two-sided p-value of {}",
    "q": "Benjamini-Hochberg q-value of {}",
}


def estimate(
    name: str, dims: tuple[str, ...], meaning: str, parts: str, dtype: Any = np.float64, **more: Any
) -> tuple[Field, ...]:
    """An estimate with its uncertainty: `name`, and `name_<part>` for each of `parts`, as in "se low high q".

    Args:
        more: of every field (`optional`, `units` of all but p and q).
    """
    units = more.pop("units", "")
    short = meaning.split(";")[0].split(":")[0]
    beside = [
        Field(
            f"{name}_{part}", dims, dtype, _PARTS[part].format(short), "" if part in "pq" else units, **more
        )
        for part in parts.split()
    ]
    return (Field(name, dims, dtype, meaning, units, **more), *beside)


@dataclass(frozen=True, eq=False)
class Artefact:
    """A kind of file.

    Attributes:
        kind: what it is, in words; checked when it is read.
        path: below the results folder, with wildcards in braces.
        fields: the arrays it holds.
        groups: groups of free content (stacked networks, ...): name and meaning.
        attributes: scalars beside the provenance: name and meaning.
        name: of the method of the read API; '' for the kind with underscores.
        choose: (keyword, default) of the method, where it reads one of the file's groups.
    """

    kind: str
    path: str
    fields: tuple[Field, ...]
    groups: Mapping[str, str] | None = None
    attributes: Mapping[str, str] | None = None
    name: str = ""
    choose: tuple[str, str] | None = None

    @property
    def method(self) -> str:
        """The name of the method of the read API that reads it."""
        return self.name or self.kind.replace(" ", "_")

    @property
    def wildcards(self) -> list[str]:
        """What tells one file of this kind from another."""
        return re.findall(r"{(\w+)}", self.path)

    def at(self, **wildcards: str) -> str:
        """The path of one file, from the project's folder."""
        return f"{RESULTS}/{self.path.format(**wildcards)}"

    @cached_property
    def pattern(self) -> re.Pattern:
        """Matches the end of a path of this kind; its groups are the wildcards."""
        return pattern_of(self.path)

    def field(self, name: str) -> Field:
        """The declaration of an array.

        Raises:
            KeyError: there is none.
        """
        for declared in self.fields:
            if declared.name == name or (
                declared.name.startswith("*/") and name.partition("/")[2] == declared.name[2:]
            ):
                return declared
        raise KeyError(f"{self.kind}: no field '{name}' is declared")


def pattern_of(path: str) -> re.Pattern:
    """Matches the end of a path with wildcards in braces; the name of a study may hold slashes."""
    seen: set[str] = set()

    def group(match: re.Match) -> str:
        name = match.group(1)
        if name in seen:
            return f"(?P={name})"
        seen.add(name)
        return rf"(?P<{name}>[^/]+(?:/[^/]+)*?)" if name == "study" else rf"(?P<{name}>[^/]+)"

    # Braces are escaped first, then found again.
    escaped = re.sub(r"\\{(\w+)\\}", group, re.escape(path))
    return re.compile(rf"(?:^|/)(?P<place>{escaped})$")


class Writer:
    """An artefact being written, array by array, as it is declared."""

    def __init__(self, artefact: Artefact, file: h5py.File, disk: files.Disk):
        self._artefact, self._file, self._disk = artefact, file, disk
        self._axes: list[tuple[h5py.Dataset, tuple[str, ...]]] = []

    @property
    def file(self) -> h5py.File:
        """The HDF5 file; raises OSError once a write has failed, so that work stops then, not at the end."""
        self._disk.check()
        return self._file

    def write(self, name: str, values: Any) -> None:
        """Store a whole array, or a list of names."""
        field = self._artefact.field(name)
        if field.dtype is str:
            data = _encoded(values, field)
        elif field.dtype is np.unsignedinteger:
            data = np.asarray(values).astype(np.min_scalar_type(np.max(values, initial=0)))
        else:
            data = np.asarray(values).astype(field.dtype)
        dataset = self.file.create_dataset(
            name, data=data, dtype=data.dtype, **_storage(data.shape, data.dtype, field)
        )
        self._label(dataset, field)

    def write_interval(self, name: str, interval: Any) -> None:
        """Store an interval (`core.statistics.Interval`), or nested lists of them, as an estimate with its
        ends: `name`, `name_low`, `name_high`."""
        for end, suffix in (("value", ""), ("low", "_low"), ("high", "_high")):
            self.write(f"{name}{suffix}", _each(interval, end))

    def reserve(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype: Any = None,
        chunks: tuple[int, ...] | None = None,
    ) -> h5py.Dataset:
        """Room for an array that the caller fills piece by piece, in pieces of `chunks`."""
        field = self._artefact.field(name)
        kind = np.dtype(dtype or field.dtype)
        storage = _storage(shape, kind, field, chunks)
        dataset = self.file.create_dataset(name, shape=shape, dtype=kind, **storage)
        self._label(dataset, field)
        return dataset

    def stack(self, group: str, name: str, leading: Mapping[str, int], size: int, dtype: Any) -> h5py.Dataset:
        """Room in a group of free content: [*leading, size], as states of networks need it."""
        if group not in (self._artefact.groups or {}):
            raise KeyError(f"{self._artefact.kind}: no group '{group}' is declared")
        dims, shape = (*leading, f"size_{size}"), (*leading.values(), size)
        field = Field(name, dims, dtype, "the network's tensor of this name, flat")
        chunks = (*[1] * len(leading), size)
        storage = _storage(shape, np.dtype(dtype), field, chunks)
        dataset = self.file.create_dataset(f"{group}/{name}", shape=shape, dtype=dtype, **storage)
        self._label(dataset, field)
        return dataset

    def copy(self, file: h5py.File, name: str) -> None:
        """Store an array of another artefact under the same name, as it is declared here."""
        field = self._artefact.field(name)
        self.write(name, names(file[name]) if field.dtype is str else file[name][()])

    def attribute(self, name: str, value: Any) -> None:
        """Store a scalar, or what JSON can hold, beside the provenance."""
        if name not in (self._artefact.attributes or {}):
            raise KeyError(f"{self._artefact.kind}: no attribute '{name}' is declared")
        _set_attribute(self.file, name, value)

    def _label(self, dataset: h5py.Dataset, field: Field) -> None:
        if len(field.dims) != dataset.ndim:
            raise ValueError(f"{dataset.name}: {dataset.ndim} axes but dimensions {list(field.dims)}")
        if field.dtype is str:
            _set_attribute(dataset, "_Encoding", "utf-8")
        _set_attribute(dataset, "meaning", field.meaning)
        if field.units:
            _set_attribute(dataset, "units", field.units)
        self._axes.append((dataset, field.dims))

    def _finish(self) -> None:
        """Attach a scale to every axis, and look for what is missing."""
        sizes: dict[str, int] = {}
        for dataset, dims in self._axes:
            for dim, size in zip(dims, dataset.shape, strict=True):
                if sizes.setdefault(dim, size) != size:
                    raise ValueError(f"{dataset.name}: {size} along '{dim}', but {sizes[dim]} elsewhere")
        for dim, size in sizes.items():
            self._scale(dim, size)
        for dataset, dims in self._axes:
            if dims != (dataset.name.removeprefix("/"),):  # a scale has none of its own
                for axis, dim in enumerate(dims):
                    dataset.dims[axis].attach_scale(self._file[dim])
        for field in self._artefact.fields:
            if not field.optional and "*" not in field.name and field.name not in self._file:
                raise ValueError(f"{self._artefact.kind}: field '{field.name}' was not written")

    def _scale(self, dim: str, size: int) -> None:
        if dim in self._file:
            self._file[dim].make_scale(dim)
        else:
            placeholder = self._file.create_dataset(dim, shape=(size,), dtype=">f4", fillvalue=0)
            placeholder.make_scale(_NO_COORDINATES.format(size))


def _each(nested: Any, attribute: str) -> Any:
    """An attribute of all objects in nested lists."""
    if isinstance(nested, list):
        return [_each(one, attribute) for one in nested]
    return getattr(nested, attribute)


def _encoded(values: Sequence[str], field: Field) -> np.ndarray:
    """Names as UTF-8 of fixed length: HDF5 keeps no checksum of strings of any length.

    Raises:
        DataError: a name that no terminal, table or page can show as it is.
    """
    shape = np.shape(np.asarray(values, dtype=object))
    texts = [str(value) for value in np.asarray(values, dtype=object).ravel()]
    for text in texts:
        if printable(text) != text:
            raise DataError(
                f"{field.name}: '{text}' ({field.meaning}) holds control characters, marks that turn the "
                "direction of text, or bytes that are no UTF-8; rename it without them"
            )
    flat = np.array([text.encode() for text in texts], dtype=bytes)
    return flat.astype(h5py.string_dtype("utf-8", max(flat.itemsize, 1))).reshape(shape)


def _set_attribute(holder: h5py.File | h5py.Dataset, name: str, value: Any) -> None:
    """Numbers as they are, text with a fixed length (its checksum is the header's), the rest as JSON."""
    if isinstance(value, bool | np.bool_):
        holder.attrs[name] = int(value)
    elif isinstance(value, int | float | np.number):
        holder.attrs[name] = value
    else:
        text = (value if isinstance(value, str) else json.dumps(value, sort_keys=True)).encode()
        holder.attrs.create(name, text, dtype=h5py.string_dtype("utf-8", max(len(text), 1)))


def _storage(
    shape: tuple[int, ...], dtype: np.dtype, field: Field, chunks: tuple[int, ...] | None = None
) -> dict[str, Any]:
    """Chunks with checksums, compressed where it pays; scalars and empty arrays take none."""
    if not shape or 0 in shape:
        return {}
    storage: dict[str, Any] = {"chunks": chunks or _chunks(shape, dtype.itemsize), "fletcher32": True}
    compress = dtype.kind != "f" if field.compress is None else field.compress
    if compress:
        storage |= {"compression": "gzip", "compression_opts": 1, "shuffle": dtype.itemsize > 1}
    return storage


def _chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole trailing axes, cut along the leading ones until a chunk holds about a megabyte."""
    chunk = list(shape)
    for axis in range(len(shape)):
        rest = itemsize * int(np.prod(chunk[axis + 1 :]))
        chunk[axis] = max(1, min(shape[axis], _CHUNK_BYTES // max(rest, 1)))
        if rest <= _CHUNK_BYTES:
            break
    return tuple(chunk)


@contextmanager
def create(path: str | Path, artefact: Artefact) -> Iterator[Writer]:
    """Write the artefact `path` atomically: it appears only if the block ends without an error.

    Settings, inputs, seed and device are those of the job (`provenance`).

    Raises:
        ArtefactError: the place cannot be written, the disk is full, or an input was made from another file
            than the one that this job reads, too.
    """
    path, job = Path(path), provenance.current
    with (
        ThreadPoolExecutor(1) as background,
        files.replace_file(path) as temporary,
        files.on_disk(temporary) as disk,
        h5py.File(disk, "w", libver=("v110", "latest")) as file,
    ):
        digests = background.submit(lambda: {str(p): files.sha256(p) for p in job.inputs})
        writer = Writer(artefact, file, disk)
        yield writer
        writer._finish()
        _refuse_strangers(job.inputs, digests.result())
        match = artefact.pattern.search(str(path.absolute()))
        for name, value in {
            "kind": artefact.kind,
            "schema_version": SCHEMA_VERSION,
            "place": match["place"] if match else "",
            "place_pattern": artefact.path,
            "settings": dict(job.settings),
            "inputs": digests.result(),
            "device": job.device,
            "software": provenance.software(),
            "transferlens_version": __version__,
            "git_commit": provenance.git_commit(),
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
        }.items():
            _set_attribute(file, name, value)
        if job.seed is not None:
            file.attrs["seed"] = job.seed


def _refuse_strangers(inputs: Sequence[Path], digests: Mapping[str, str]) -> None:
    """Refuse an input that was made from another file than the input of that name beside it."""
    for path in inputs:
        if path.suffix == ".h5":
            with open(path) as file:
                made_from = inputs_of(file)
            for other, recorded in made_from.items():
                if digests.get(other, recorded) != recorded:
                    raise ArtefactError(f"{path}: made from another {other} than is there now{remake(path)}")


class _Attributes(h5py.AttributeManager):
    """Attributes whose text, stored with a fixed length, is text."""

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        return value.decode() if isinstance(value, bytes) else value


class _File(h5py.File):
    """An HDF5 file that is read."""

    @property
    def attrs(self) -> _Attributes:
        """Attributes of the root."""
        return _Attributes(self)

    def __getitem__(self, name: str) -> Any:
        item = super().__getitem__(name)
        if isinstance(item, h5py.Dataset):
            require_held(item)
        return item


def require_held(dataset: h5py.Dataset) -> None:
    """Refuse an array that its file cannot hold, before memory is taken for it.

    Raises:
        OSError: as for other damage.
    """
    declared = math.prod(dataset.shape or ()) * dataset.dtype.itemsize
    if declared > _LARGE and declared > _PACKED * (size := os.path.getsize(dataset.file.filename)):
        raise OSError(f"'{dataset.name}' declares {declared:.3g} bytes in a file of {size}")


@contextmanager
def open(path: str | Path, artefact: Artefact | str | None = None) -> Iterator[h5py.File]:
    """Read the artefact `path`, refusing what is not a whole artefact of this kind, made for this place.

    Args:
        artefact: the declaration, or the name of a kind that another room declares; None for any kind.

    Raises:
        ArtefactError: missing, truncated, damaged (checksum), another kind, made for another place, or of
            another schema.
    """
    try:
        file = _opened(path)
    except FileNotFoundError as error:
        raise ArtefactError(f"{path}: no such file; run snakemake to make it") from error
    except PermissionError as error:
        raise ArtefactError(f"{path}: no permission to read it; chmod u+r it, as its owner") from error
    except _UNREADABLE as error:
        raise damaged(path, error) from error
    with file:
        try:
            _check_header(path, artefact, file)
            yield file
        except _UNREADABLE as error:
            _blame(path, artefact, file, error)
            raise


def _blame(path: str | Path, artefact: Artefact | str | None, file: h5py.File, error: Exception) -> None:
    """Refuse an open file if an error of who reads it is its fault: HDF5 does not say which file failed.

    Raises:
        ArtefactError: it is damaged (a damaged header ends as a KeyError), or not as it is declared.
    """
    if damage := first_damage(file):
        raise damaged(path, damage) from error
    if isinstance(artefact, Artefact):
        require_declared(path, file, artefact)
        for name in artefact.attributes or ():
            if name not in file.attrs and f"'{name}'" in str(error):
                raise ArtefactError(f"{path}: has no '{name}', which it should say{remake(path)}") from error


def _opened(path: str | Path) -> _File:
    """Without a lock, as a file with its final name is never written to."""
    if os.path.exists(path) and not os.path.isfile(path):
        raise ArtefactError(f"{path}: no regular file{remake(path)}")  # to open a pipe waits for ever
    try:
        return _File(path, "r", locking=False)
    except OSError as error:
        if "locking flag" not in str(error):
            raise
        return _File(path, "r")  # this process has it open with one, and both must agree


def first_damage(file: h5py.File) -> Exception | None:
    """The error of the first object of an open file that cannot be read; None when all of it can."""

    def read(_: str, item: h5py.Group | h5py.Dataset) -> None:
        dict(item.attrs)
        if isinstance(item, h5py.Dataset):
            require_held(item)
            for part in item.iter_chunks() if item.chunks else [()]:
                item[part]

    try:
        dict(file.attrs)
        file.visititems(read)
    except _UNREADABLE as error:
        return error
    return None


def contradiction(file: h5py.File, artefact: Artefact) -> str | None:
    """What of an open file is not as it is declared, in words; None when all of it is."""
    sizes: dict[str, int] = {}
    for field in artefact.fields:
        if "*" in field.name or (field.optional and field.name not in file):
            continue
        if not isinstance(stored := file.get(field.name), h5py.Dataset):
            return f"has no '{field.name}', which a file of its kind holds"
        if stored.shape is None or stored.ndim != len(field.dims):
            return f"'{field.name}' has not the {len(field.dims)} axes that were expected"
        if stored.dtype.kind not in _kinds(field):
            return f"'{field.name}' holds {stored.dtype}, which it never does"
        for dim, size in zip(field.dims, stored.shape, strict=True):
            if sizes.setdefault(dim, size) != size:
                return f"'{field.name}' has {size} along '{dim}', but there are {sizes[dim]} elsewhere"
    return None


def _kinds(field: Field) -> str:
    """The kinds of NumPy types that an array may be stored as."""
    if field.dtype is str:
        return "SO"
    return "iub" if isinstance(field.dtype, type) and issubclass(field.dtype, np.integer) else "iufb"


def require_declared(path: str | Path, file: h5py.File, artefact: Artefact) -> None:
    """Refuse an open file that is not as it is declared, before all of it is read.

    Raises:
        ArtefactError: naming what is not, or the damage, and the cure.
    """
    if reason := contradiction(file, artefact):
        if damage := first_damage(file):
            raise damaged(path, damage)
        raise ArtefactError(f"{path}: {reason}{remake(path)}")


def remake(path: str | Path) -> str:
    """The end of a message on a file that is of no use: how to get another one.

    Only a file of the results folder here is to be deleted, as Snakemake makes it again. Any other one is the
    user's own, whoever named it.
    """
    inside = os.path.relpath(path, RESULTS)
    if inside.split(os.sep)[0] in (os.curdir, os.pardir):
        return f"; it is not in {RESULTS} of this folder: put a whole copy in its place, or name another file"
    quoted = shlex.quote(os.path.join(RESULTS, inside))
    return f"; delete it and run snakemake again to remake it: rm {quoted}"


def damaged(path: str | Path, error: Exception) -> ArtefactError:
    """What to raise of a file that cannot be read as it was written."""
    return ArtefactError(f"{path}: damaged or not an HDF5 file ({files.first_line(error)}){remake(path)}")


def _check_header(path: str | Path, artefact: Artefact | str | None, file: h5py.File) -> None:
    if missing := [name for name in _HEADER if name not in file.attrs]:
        if damage := first_damage(file):
            raise damaged(path, damage)
        raise ArtefactError(f"{path}: not written by Transferlens (it names no {missing[0]}){remake(path)}")
    if not isinstance(version := file.attrs["schema_version"], np.integer):
        raise ArtefactError(f"{path}: not written by Transferlens (its schema is no number){remake(path)}")
    refuse_version(path, int(version))
    expected = artefact.kind if isinstance(artefact, Artefact) else artefact
    kind = str(file.attrs["kind"])
    if expected is not None and kind != expected:
        raise ArtefactError(f"{path}: holds '{kind}' where '{expected}' was expected{remake(path)}")
    _check_place(path, str(file.attrs["place"]), str(file.attrs["place_pattern"]))


def _check_place(path: str | Path, place: str, pattern: str) -> None:
    """Refuse a file that lies where another one of its kind belongs; it may lie outside a results folder."""
    here = pattern_of(pattern).search(str(Path(path).absolute()))
    if place and here and here["place"] != place and not str(Path(path).absolute()).endswith(f"/{place}"):
        raise ArtefactError(f"{path}: was made as {place}, and copied here{remake(path)}")


def refuse_version(path: str | Path, version: int) -> None:
    """Refuse a file of another schema.

    Raises:
        ArtefactError: naming the version that wrote it, and the cure.
    """
    if version > SCHEMA_VERSION:
        raise ArtefactError(
            f"{path}: written by a newer Transferlens (schema {version}, this one reads {SCHEMA_VERSION}); "
            "upgrade Transferlens or use another results folder"
        )
    if version < SCHEMA_VERSION:
        raise ArtefactError(
            f"{path}: written by Transferlens 0.1, whose results this version ({__version__}) does not read; "
            "move the results folder away (mv results results-0.1) or run with --directory on another one"
        )


def refuse_other_versions(folder: str | Path) -> None:
    """Stop before any work if a results folder's data sets were written by another schema.

    Damaged files are left to the jobs that read them, and to the doctor.
    """
    for path in filter(Path.is_file, sorted(Path(folder).glob("data/*/index.h5"))):
        with suppress(*_UNREADABLE), h5py.File(path, "r", locking=False) as file:
            version = int(file.attrs["schema_version"])
            refuse_version(path, version)


def names(dataset: h5py.Dataset) -> list[str]:
    """The values of a dataset of names."""
    return dataset.asstr()[:].tolist()


def settings_of(file: h5py.File) -> dict[str, Any]:
    """The settings an artefact was made with."""
    return _mapping(file, "settings")


def inputs_of(file: h5py.File) -> dict[str, str]:
    """The files an artefact was computed from, with the SHA-256 of each."""
    return _mapping(file, "inputs")


def _mapping(file: h5py.File, name: str) -> dict[str, Any]:
    """An attribute that holds a mapping as JSON.

    Raises:
        ArtefactError: it holds something else.
    """
    try:
        value = json.loads(file.attrs[name])
    except (TypeError, ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise ArtefactError(f"{file.filename}: its attribute '{name}' is no mapping{remake(file.filename)}")
    return value
