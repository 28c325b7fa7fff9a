"""Files that are whole or absent: written beside their place, synced, renamed."""

import errno
import hashlib
import io
import os
import re
import signal
import socket
import stat
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from transferlens.core.errors import ArtefactError

if TYPE_CHECKING:
    import pandas as pd

# The end of the name of a folder beside an output, in which its job keeps what it has done so far.
PROGRESS = ".progress"
# What other libraries advise: to trust a file, to change their code's arguments, to report a fault.
_ADVICE = re.compile(
    r"weights_only|safe_globals|if you trust|(file|open|submit) an issue|(please|bug) report", re.I
)
_LONGEST_REASON = 200  # characters of what another library says
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_NO_FILES = (
    (stat.S_ISDIR, "folder"),
    (stat.S_ISFIFO, "pipe"),
    (stat.S_ISSOCK, "socket"),
    (stat.S_ISCHR, "device"),
    (stat.S_ISBLK, "device"),
)
_FORBIDDEN = (errno.EACCES, errno.EPERM, errno.EROFS)


class Disk(io.FileIO):
    """A file on disk that HDF5 writes through; remembers its first failure instead of passing it on.

    After a failed write (a full disk, a quota, an `interrupt`) HDF5 can neither go on nor close its file: it
    prints a page of errors and crashes at exit. So it never learns of the failure, and nothing more is
    written. No lock is taken, as HDF5 itself would: nobody else knows the temporary name, and some file
    systems have no locks.
    """

    failure: BaseException | None = None

    def write(self, data: bytes | memoryview) -> int:
        """Write all of it; once a write has failed, nothing more."""
        rest = memoryview(data).cast("B")
        try:
            while len(rest) and not self.failure:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.failure = self.failure or error
        return len(data)

    def truncate(self, size: int | None = None) -> int:
        """Cut or extend the file; once a write has failed, nothing more."""
        try:
            if not self.failure:
                super().truncate(size)
        except OSError as error:
            self.failure = self.failure or error
        return size or 0

    def check(self) -> None:
        """Raise the first failure, if there was one."""
        if self.failure:
            raise self.failure


_CALLED_BY_HDF5 = (Disk.write.__code__, Disk.truncate.__code__)


def interrupt(number: int, frame: FrameType | None) -> None:
    """End a job by a signal as by an exception, which lets temporary files be removed: a handler of signals.

    HDF5 could not pass it on: where it is writing, its disk keeps the exception and raises it afterwards.

    Raises:
        KeyboardInterrupt, SystemExit: at SIGINT; at any other.
    """
    end = KeyboardInterrupt() if number == signal.SIGINT else SystemExit(128 + number)
    while frame and frame.f_code not in _CALLED_BY_HDF5:
        frame = frame.f_back
    if not frame:
        raise end
    frame.f_locals["self"].failure = end


@contextmanager
def on_disk(path: Path) -> Iterator[Disk]:
    """A file to write HDF5 through; a failed write is raised when the block ends, whatever else it caused."""
    with Disk(path, "w+") as disk:
        try:
            yield disk
        finally:
            disk.check()


@contextmanager
def replace_file(path: str | Path) -> Iterator[Path]:
    """A temporary file beside `path` that takes its place, synced to disk, when the block ends well.

    What killed jobs left is removed. Of two jobs that make the same file at once on one machine, the one that
    ends last makes it. On two (where one was thought lost), the one that began last removes the other's
    temporary file, as nobody can tell that it still lives; the other leaves what is there, or fails.

    Raises:
        ArtefactError: the place cannot be written, or the disk is full; another job makes the same file.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        for left_over in path.parent.glob(f".{path.name}.*.tmp"):
            if not has_writer(left_over):
                left_over.unlink(missing_ok=True)
        before = _version(path)
        yield temporary
        if temporary.exists() or _version(path) == before:
            _put(temporary, path)
    except OSError as error:
        if error.errno is None and "write" not in str(error):
            raise  # HDF5 failed to read another file in the block; whoever opened that one names it
        raise unwritable(path, error) from error
    finally:
        with suppress(OSError):  # nothing to remove, or no longer a folder: the error above says more
            temporary.unlink()


def has_writer(temporary: Path) -> bool:
    """Whether the process that makes a temporary file lives, as far as can be told on this machine."""
    process = temporary.name.removesuffix(".tmp").rpartition(".")[2]
    if not temporary.name.endswith(f".{socket.gethostname()}.{process}.tmp"):
        return False
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2]
    except OSError:
        return False
    return not state.startswith("Z")  # dead, but its parent has not asked how it ended


def unwritable(path: Path, error: OSError) -> ArtefactError:
    """Why a file cannot be written, and what helps."""
    if error.errno in _FORBIDDEN:
        return ArtefactError(
            f"{path}: no write permission in {path.parent}; make it writable or run with --directory on a "
            "folder that is"
        )
    if error.errno in _FULL:
        return ArtefactError(
            f"{path}: cannot be written ({first_line(error)}); free space there and run again"
        )
    why = error.strerror or first_line(error)  # without the names of temporary files
    return ArtefactError(f"{path}: cannot be written ({why}); name a place where files can be made")


def _version(path: Path) -> tuple[int, int] | None:
    """What changes when a file is replaced by another; None if there is none."""
    try:
        found = path.stat()
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


def _put(temporary: Path, path: Path) -> None:
    """Sync a temporary file and let it take its place."""
    try:
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        os.replace(temporary, path)
    except FileNotFoundError as error:
        raise ArtefactError(
            f"{path}: what this job wrote was removed by another one that began to make the same file; "
            "run one Snakemake at a time on this folder, and wait for that job to end"
        ) from error


def write_csv(path: str | Path, table: "pd.DataFrame") -> None:
    """Write a pandas table atomically, without its row numbers."""
    with replace_file(path) as temporary:
        table.to_csv(temporary, index=False)


def date_back(paths: Iterable[str | Path]) -> list[str]:
    """Date files from the future (a clock was wrong) now; returns their names.

    Snakemake takes a job's output that is older than an input for a fault of the clocks, and removes it.
    """
    now, dated = time.time(), []
    for path in paths:
        with suppress(OSError):  # gone, or another user's
            if os.stat(path).st_mtime > now:
                os.utime(path)
                dated.append(str(path))
    return dated


def plain(path: str | Path) -> Path:
    """The path of a file that can be read to its end. Others are never opened: a pipe would wait for ever.

    Raises:
        OSError: there is none, or it is a folder, pipe, socket or device.
    """
    mode = os.stat(path).st_mode
    if not stat.S_ISREG(mode):
        kind = next(name for is_one, name in _NO_FILES if is_one(mode))
        raise OSError(f"it is a {kind}, not a file")
    return Path(path)


def refuse_unwritable(folder: str | Path) -> None:
    """Stop before any work if nothing can be written to a results folder."""
    folder = Path(folder)
    existing = folder if os.path.exists(folder) else folder.absolute().parent
    if not os.access(existing, os.W_OK):
        raise ArtefactError(
            f"{folder}: no write permission in {existing}; make it writable or run with --directory on a "
            "folder that is"
        )


def refuse_unwritable_file(path: str | Path) -> None:
    """Stop before any work if a file cannot be written where it shall be; none is left there.

    Raises:
        ArtefactError: it cannot.
    """
    path = Path(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        is_new = not path.exists()
        path.open("a").close()
        if is_new:
            path.unlink()
    except OSError as error:
        raise unwritable(path, error) from error


def sha256(path: str | Path) -> str:
    """Hex SHA-256 of a file's content."""
    with Path(path).open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def first_line(error: Exception) -> str:
    """An error in one line that is not long, without what a library advises those who write programs."""
    line = next(iter(str(error).splitlines()), "")
    said = [part for part in re.split(r"(?<=[.;!])(?=\s)", line) if not _ADVICE.search(part)]
    words = "".join(said).strip() or type(error).__name__
    return words if len(words) <= _LONGEST_REASON else f"{words[: _LONGEST_REASON - 3]}..."
