"""Archives of images: unpacked completely or not at all, and never outside their folder."""

import glob
import hashlib
import lzma
import os
import shutil
import socket
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO

from transferlens.core.errors import DataError

SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".zip")
# What Python's own filter refuses; before 3.11.4 (as in Debian 12) there is none.
_UNSAFE: tuple[type[Exception], ...] = (tarfile.FilterError,) if hasattr(tarfile, "FilterError") else ()
_BROKEN = (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, OSError, RuntimeError, ValueError)
_BROKEN += (lzma.LZMAError, LookupError, struct.error)
_HEADERS = (
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
)
_LONGEST_NAME = 1 << 20  # bytes that a tar may take for the name and the notes of a member


def is_archive(path: Path) -> bool:
    """Whether a file is an archive, by its name."""
    return path.name.lower().endswith(SUFFIXES)


def check(archive: Path, checksum: str | None) -> None:
    """Compare a file with its published checksum, `md5:<hex>` or `sha256:<hex>`.

    Raises:
        DataError: naming the file, the expected and the found checksum.
    """
    if checksum is None:
        return
    kind, expected = checksum.split(":")
    with archive.open("rb") as file:
        digest = hashlib.file_digest(file, kind).hexdigest()
    if digest != expected:
        raise DataError(
            f"{archive}: {kind} is {digest}, but {expected} is published; it is half-downloaded or another "
            "version: fetch it again"
        )


class _Member(tarfile.TarInfo):
    """A member of a tar; its name and notes are read into memory whole, as long as they say they are."""

    def _proc_member(self, tar: tarfile.TarFile) -> tarfile.TarInfo:
        if self.type in _HEADERS and self.size > _LONGEST_NAME:
            raise tarfile.ReadError(f"a name or note of {self.size:,} bytes")
        return super()._proc_member(tar)


def open_tar(path: Path | None = None, fileobj: IO[bytes] | None = None) -> tarfile.TarFile:
    """Open a tar of any compression by its path, or within another one."""
    return tarfile.open(path, fileobj=fileobj, tarinfo=_Member)


def extract(archive: Path, folder: Path, limit_gb: float) -> None:
    """Unpack an archive as `folder`, which appears only when it is complete.

    Raises:
        DataError: a broken archive; a member that would land outside the folder, links there, or is no
            plain file; or more than `limit_gb` gigabytes, or than the disk has left.
    """
    with whole(folder) as temporary:
        unpack(archive, temporary, limit_gb)


def extract_into(archive: Path, folder: Path, limit_gb: float, nested: tuple[str, ...] = ()) -> None:
    """Unpack an archive beside what is in `folder`; each of its top entries appears when all are complete.

    Archives within it named by `nested` are unpacked in their turn, beside its own entries.
    """
    with whole_entries(folder, archive.name) as temporary:
        unpack(archive, temporary, limit_gb)
        for inner in nested:
            if (temporary / inner).is_file():
                unpack(temporary / inner, temporary, limit_gb)
                (temporary / inner).unlink()


@contextmanager
def whole(folder: Path) -> Iterator[Path]:
    """A temporary folder that becomes `folder` when the block ends well, and is removed otherwise."""
    with _temporary(folder) as temporary:
        yield temporary
        _move(temporary, folder)


@contextmanager
def whole_entries(folder: Path, name: str) -> Iterator[Path]:
    """A temporary folder whose entries move into `folder` when the block ends well, else are removed."""
    with _temporary(folder / name) as temporary:
        yield temporary
        for entry in temporary.iterdir():
            _move(entry, folder / entry.name)


@contextmanager
def _temporary(place: Path) -> Iterator[Path]:
    """A folder beside `place` that is gone after the block; left-overs of killed jobs go first."""
    host = socket.gethostname()
    temporary = place.with_name(f".{place.name}.{host}.{os.getpid()}.tmp")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        for left in place.parent.glob(f".{glob.escape(place.name)}.{host}.*.tmp"):
            if left == temporary or not _running(left.name.split(".")[-2]):
                shutil.rmtree(left, ignore_errors=True)
        temporary.mkdir()
    except OSError as error:
        raise DataError(f"{place}: cannot be made ({error.strerror}); is the data root writable?") from error
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _running(process: str) -> bool:
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError):
        return False
    except PermissionError:
        pass
    return True


def _move(source: Path, place: Path) -> None:
    """Rename, unless another job has put the same there meanwhile."""
    if not place.exists():
        try:
            source.rename(place)
        except OSError:
            if not place.exists():
                raise


def unpack(archive: Path, folder: Path, limit_gb: float) -> None:
    """Unpack into an existing folder; when it fails, what was unpacked stays (see `extract`)."""
    with explained(archive, folder):
        if archive.name.lower().endswith(".zip"):
            _unpack_zip(archive, folder, limit_gb)
        else:
            _refuse_cut_off(archive)
            with open_tar(archive) as tar:
                unpack_tar(archive, tar, folder, limit_gb)


@contextmanager
def explained(archive: Path, folder: Path) -> Iterator[None]:
    """Make one clear line of what goes wrong when an archive is unpacked into a folder."""
    try:
        yield
    except _UNSAFE as error:
        raise DataError(f"{archive}: refused, a member is unsafe ({error})") from error
    except _BROKEN as error:
        if isinstance(error, OSError) and error.errno is not None:  # the disk's fault, not the archive's
            raise DataError(f"{archive}: cannot be unpacked into {folder.parent} ({error})") from error
        raise DataError(
            f"{archive}: cannot be unpacked ({_told(error)}); it is half-downloaded or damaged: "
            "fetch it again"
        ) from error


def _told(error: Exception) -> str:
    """An error in one line; tarfile writes one for every compression that it tried."""
    return " ".join(str(error).split()) or type(error).__name__


def unpack_tar(archive: Path, tar: tarfile.TarFile, folder: Path, limit_gb: float) -> None:
    """Unpack the members of an open tar one by one, each after its checks."""
    budget = _Budget(archive, folder, limit_gb)
    for member in tar:
        if member.isdir():
            check_inside(archive, member.name)
        else:
            check_new(archive, member.name, folder)
        budget.take(member.size)
        _extract(archive, tar, member, folder)
        tar.members = []  # tarfile would remember every member


def _extract(archive: Path, tar: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    """A member whose name was checked; where Python has no filter, a file or a folder and nothing else."""
    if _UNSAFE:
        tar.extract(member, folder, filter="data")
    elif member.isreg() or member.isdir():
        member.mode = 0o755 if member.isdir() else 0o644
        tar.extract(member, folder)
    else:
        told = f"{member.name!r} is neither file nor folder"
        raise DataError(f"{archive}: refused, a member is unsafe ({told})")


def _unpack_zip(archive: Path, folder: Path, limit_gb: float) -> None:
    budget = _Budget(archive, folder, limit_gb)
    with zipfile.ZipFile(archive) as opened:
        for member in opened.infolist():
            check_inside(archive, member.filename)
            budget.take(member.file_size)
        for member in opened.infolist():
            if not member.is_dir():
                check_new(archive, member.filename, folder)
            opened.extract(member, folder)


class _Budget:
    """Bytes that may still be unpacked."""

    def __init__(self, archive: Path, folder: Path, limit_gb: float):
        self.archive, self.limit_gb, self.taken = archive, limit_gb, 0
        self.free = shutil.disk_usage(folder).free

    def take(self, size: int) -> None:
        """Count so many bytes more; refuse an archive that holds more than the limit."""
        self.taken += size
        if self.taken > self.limit_gb * 1e9:
            raise DataError(
                f"{self.archive}: refused, holds more than {self.limit_gb:g} GB; if that is right, raise "
                "archive_limit_gb of the data set"
            )
        if self.taken > self.free:
            raise DataError(
                f"{self.archive}: needs more than the {self.free / 1e9:.1f} GB free on the disk of the data "
                "root; make room or set data_root to another disk"
            )


def check_new(archive: Path, name: str, folder: Path) -> None:
    """Refuse a member that would land outside of its folder, or where another one has landed.

    The disk tells, so that names count as the same by whatever spelling leads to one place on it.
    """
    check_inside(archive, name)
    if os.path.lexists(folder / name):
        raise DataError(
            f"{archive}: refused, its member '{name}' is there twice, perhaps by another spelling; pack it "
            "anew without one of them"
        )


def check_inside(archive: Path, name: str) -> None:
    """Refuse the name of a member that would land outside of the folder it is unpacked into."""
    path = PurePosixPath(name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or name[1:2] == ":":
        raise DataError(f"{archive}: refused, its member '{name}' would land outside of its folder")


def _refuse_cut_off(archive: Path) -> None:
    """An uncompressed tar ends in a block of zeros; a cut between two members would go unnoticed."""
    if archive.name.lower().endswith(".tar"):
        with archive.open("rb") as file:
            file.seek(max(0, archive.stat().st_size - 512))
            if file.read().strip(b"\0"):
                raise tarfile.ReadError("its end is missing")


def class_names(archive: Path) -> list[str]:
    """The class folders of an image folder in an archive, from its list of members (unpacks nothing)."""
    try:
        if archive.name.lower().endswith(".zip"):
            with zipfile.ZipFile(archive) as opened:
                names = {_class_of(name) for name in opened.namelist()}
        else:
            with open_tar(archive) as tar:
                names = set()
                for member in tar:
                    names.add(_class_of(member.name))
                    tar.members = []  # tarfile would remember every member
    except _BROKEN as error:
        raise DataError(f"{archive}: cannot be read ({_told(error)}); fetch it again") from error
    names.discard(None)
    if not names:
        raise DataError(f"{archive}: holds no train/<class>/* at its top")
    return sorted(names)


def _class_of(member: str) -> str | None:
    """`<class>` of `train/<class>/<file>`, below at most two folders."""
    parts = [part for part in PurePosixPath(member).parts if part != "."]
    for depth, part in enumerate(parts[:3]):
        if part in ("train", "Training") and len(parts) > depth + 2:
            return parts[depth + 1]
    return None
