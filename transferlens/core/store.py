"""HDF5 artefacts: written atomically, read with checks, each with its full provenance.

A file with its final name is complete, always: it is written beside its place under a temporary name,
flushed, and renamed. Root attributes say what it is, from which settings and inputs, and by what software.
"""

import errno
import hashlib
import io
import json
import os
import shlex
import socket
import subprocess
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from transferlens import __version__
from transferlens.core.errors import ArtefactError

SCHEMA_VERSION = 1
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_SOFTWARE = ("torch", "torchvision", "numpy", "h5py", "ffcv", "torchcam")


class Writer:
    """An artefact being written. Every array names its dimensions and says what it means."""

    def __init__(self, file: h5py.File, disk: "_Disk"):
        self._file, self._disk = file, disk

    @property
    def file(self) -> h5py.File:
        """The HDF5 file; raises OSError once a write has failed, so that work stops then, not at the end."""
        self._disk.check()
        return self._file

    def array(self, name: str, data, dims: Sequence[str], meaning: str, units: str | None = None) -> None:
        """Store a whole array; `dims` names each axis, `meaning` says what one cell holds."""
        data = np.asarray(data)
        self._label(
            self.file.create_dataset(name, data=data, **_storage(data.shape, data.dtype)),
            dims,
            meaning,
            units,
        )

    def empty(
        self,
        name: str,
        shape: tuple[int, ...],
        dtype,
        dims: Sequence[str],
        meaning: str,
        units: str | None = None,
        chunks: tuple[int, ...] | None = None,
        compress: bool = True,
    ) -> h5py.Dataset:
        """Reserve an array that the caller fills piece by piece, in pieces of `chunks`."""
        storage = _storage(shape, np.dtype(dtype), chunks, compress)
        dataset = self.file.create_dataset(name, shape=shape, dtype=dtype, **storage)
        self._label(dataset, dims, meaning, units)
        return dataset

    def strings(self, name: str, values: Sequence[str], dims: Sequence[str], meaning: str) -> None:
        """Store a list of names (UTF-8, of fixed length: HDF5 keeps no checksum of strings of any length)."""
        encoded = np.array([value.encode() for value in values], dtype=bytes)
        dtype = h5py.string_dtype("utf-8", max(encoded.itemsize, 1))
        data = encoded.astype(dtype)
        dataset = self.file.create_dataset(name, data=data, dtype=dtype, **_storage(data.shape, data.dtype))
        self._label(dataset, dims, meaning, None)

    def attribute(self, name: str, value) -> None:
        """Store a scalar or a JSON-able value beside the provenance."""
        self.file.attrs[name] = value if isinstance(value, int | float | str) else json.dumps(value)

    @staticmethod
    def _label(dataset: h5py.Dataset, dims: Sequence[str], meaning: str, units: str | None) -> None:
        if len(dims) != dataset.ndim:
            raise ValueError(f"{dataset.name}: {dataset.ndim} axes but dimensions {list(dims)}")
        for axis, label in enumerate(dims):
            dataset.dims[axis].label = label
        dataset.attrs["meaning"] = meaning
        if units:
            dataset.attrs["units"] = units


def _storage(
    shape: tuple[int, ...], dtype: np.dtype, chunks: tuple[int, ...] | None = None, compress: bool = True
) -> dict[str, Any]:
    """Chunking, fast lossless compression and a checksum; scalars and empty arrays take none."""
    if not shape or 0 in shape:
        return {}
    storage: dict[str, Any] = {"chunks": chunks or _chunks(shape, dtype.itemsize), "fletcher32": True}
    if compress:
        storage |= {"compression": "lzf", "shuffle": dtype.itemsize > 1}
    return storage


def _chunks(shape: tuple[int, ...], itemsize: int, target_bytes: int = 1 << 20) -> tuple[int, ...]:
    """Whole trailing axes, cut along the leading ones until a chunk holds about a megabyte."""
    chunk = list(shape)
    for axis in range(len(shape)):
        rest = itemsize * int(np.prod(chunk[axis + 1 :]))
        chunk[axis] = max(1, min(shape[axis], target_bytes // max(rest, 1)))
        if rest <= target_bytes:
            break
    return tuple(chunk)


@contextmanager
def create(
    path: str | Path,
    kind: str,
    *,
    config: Mapping[str, Any],
    seed: int | None = None,
    inputs: Sequence[str | Path] = (),
    device: str = "cpu",
) -> Iterator[Writer]:
    """Write the artefact `path` atomically: it appears only if the block ends without an error.

    Args:
        kind: what the file is, checked by `open`.
        config: exactly the settings that decide its content.
        inputs: files it was computed from; their SHA-256 is recorded.
        device: where it was computed ('cpu' or the GPU's name).

    Raises:
        ArtefactError: the place cannot be written, or the disk is full.
    """
    path = Path(path)
    with (
        ThreadPoolExecutor(1) as background,
        _writable(path) as temporary,
        _on_disk(temporary) as disk,
        h5py.File(disk, "w", libver=("v110", "latest")) as file,
    ):
        digests = background.submit(lambda: {str(p): sha256(p) for p in inputs})
        file.attrs.update(
            {
                "kind": kind,
                "schema_version": SCHEMA_VERSION,
                "transferlens_version": __version__,
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "config": json.dumps(config, sort_keys=True),
                "software": json.dumps(_software()),
                "device": device,
                "git_commit": _git_commit(),
            }
        )
        if seed is not None:
            file.attrs["seed"] = seed
        yield Writer(file, disk)
        file.attrs["inputs"] = json.dumps(digests.result())


class _Disk(io.FileIO):
    """A file on disk that HDF5 writes through; remembers its first failure instead of passing it on.

    After a failed write (a full disk, a quota) HDF5 can neither go on nor close its file: it prints a page of
    errors and crashes at exit. So it never learns of the failure, and nothing more is written. No lock is
    taken, as HDF5 itself would: nobody else knows the temporary name, and some file systems have no locks.
    """

    failure: OSError | None = None

    def write(self, data) -> int:
        rest = memoryview(data).cast("B")
        try:
            while len(rest) and not self.failure:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        try:
            if not self.failure:
                super().truncate(size)
        except OSError as error:
            self.failure = error
        return size or 0

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self.failure:
            raise self.failure


@contextmanager
def _on_disk(path: Path) -> Iterator[_Disk]:
    """A file to write HDF5 through; a failed write is raised when the block ends, whatever else it caused."""
    with _Disk(path, "w+") as disk:
        try:
            yield disk
        finally:
            disk.check()


@contextmanager
def _writable(path: Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place, synced to disk, when the block ends well."""
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left_over in path.parent.glob(f".{path.name}.*.tmp"):
            left_over.unlink()  # of an earlier job that was killed
        yield temporary
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except PermissionError as error:
        raise ArtefactError(
            f"{path}: no write permission in {path.parent}; make it writable or run with "
            "--directory on a folder that is"
        ) from error
    except OSError as error:
        if error.errno is None and "write" not in str(error):
            raise  # HDF5 failed to read another file in the block; whoever opened that one names it
        cure = "; free space there and run again" if error.errno in _FULL else ""
        raise ArtefactError(f"{path}: cannot be written ({first_line(error)}){cure}") from error
    finally:
        with suppress(OSError):  # nothing to remove, or no longer a folder: the error above says more
            temporary.unlink()


@contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """Write any file atomically: yields the temporary path to write to."""
    with _writable(Path(path)) as temporary:
        yield temporary


def write_csv(path: str | Path, table) -> None:
    """Write a pandas table atomically, without its row numbers."""
    with replace_file(path) as temporary:
        table.to_csv(temporary, index=False)


@contextmanager
def open(path: str | Path, kind: str | None = None) -> Iterator[h5py.File]:
    """Read the artefact `path`, refusing what is not a whole artefact of this kind (any kind if None).

    Raises:
        ArtefactError: missing, truncated, damaged (checksum), another kind, or a newer schema.
    """
    try:
        file = h5py.File(path, "r", locking=False)  # a file with its final name is never written to
    except FileNotFoundError as error:
        raise ArtefactError(f"{path}: no such file; run snakemake to make it") from error
    except PermissionError as error:
        raise ArtefactError(f"{path}: no permission to read it") from error
    except OSError as error:
        raise _damaged(path, error) from error
    with file:
        _check_header(path, kind, file)
        try:
            yield file
        except (OSError, KeyError, RuntimeError) as error:
            # HDF5 does not say which file failed, and a damaged header ends as a KeyError.
            damage = first_damage(file)
            if damage is None:
                raise
            raise _damaged(path, damage) from error


def first_damage(file: h5py.File) -> Exception | None:
    """The error of the first object of an open file that cannot be read; None when all of it can."""

    def read(_, item):
        if isinstance(item, h5py.Dataset):
            for part in item.iter_chunks() if item.chunks else [()]:
                item[part]

    try:
        file.visititems(read)
    except (OSError, KeyError, RuntimeError) as error:
        return error
    return None


def _damaged(path: str | Path, error: Exception) -> ArtefactError:
    return ArtefactError(
        f"{path}: damaged or not an HDF5 file ({first_line(error)}); delete it and run snakemake again "
        f"to remake it: rm {shlex.quote(str(path))}"
    )


def _check_header(path: str | Path, kind: str | None, file: h5py.File) -> None:
    found = file.attrs.get("kind")
    if found is None:
        raise ArtefactError(f"{path}: not written by Transferlens (it names no kind)")
    version = int(file.attrs["schema_version"])
    if version > SCHEMA_VERSION:
        raise ArtefactError(
            f"{path}: written by a newer Transferlens (schema {version}, this one reads up to "
            f"{SCHEMA_VERSION}); upgrade Transferlens or use another results folder"
        )
    if kind is not None and found != kind:
        raise ArtefactError(f"{path}: holds '{found}' where '{kind}' was expected")


def date_back(paths: Iterable[str | Path]) -> list[str]:
    """Date files from the future (a clock was wrong) now; returns their names.

    Snakemake takes a job's output that is older than an input for a fault of the clocks, and removes it.
    """
    now, found = time.time(), []
    for path in paths:
        with suppress(OSError):  # gone, or another user's
            if os.stat(path).st_mtime > now:
                os.utime(path)
                found.append(str(path))
    return found


def refuse_newer(folder: str | Path) -> None:
    """Stop before any work if a results folder's data sets were written by a newer schema."""
    for path in sorted(Path(folder).glob("data/*/index.h5")):
        with open(path, "dataset index"):
            pass


def refuse_unwritable(folder: str | Path) -> None:
    """Stop before any work if nothing can be written to a results folder."""
    folder = Path(folder)
    existing = folder if os.path.exists(folder) else folder.absolute().parent
    if not os.access(existing, os.W_OK):
        raise ArtefactError(
            f"{folder}: no write permission in {existing}; make it writable or run with --directory on a "
            "folder that is"
        )


def strings(dataset: h5py.Dataset) -> list[str]:
    """The values of a dataset of names."""
    return list(dataset.asstr()[:])


def settings(file: h5py.File) -> dict[str, Any]:
    """The settings an artefact was made with."""
    return json.loads(file.attrs["config"])


def inputs(file: h5py.File) -> dict[str, str]:
    """The files an artefact was computed from, with the SHA-256 of each."""
    return json.loads(file.attrs["inputs"])


def sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's content."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


@cache
def _software() -> dict[str, str]:
    found = {}
    for name in _SOFTWARE:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


@cache
def _git_commit() -> str:
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


def first_line(error: Exception) -> str:
    """An error in one line."""
    return str(error).splitlines()[0] if str(error) else type(error).__name__
