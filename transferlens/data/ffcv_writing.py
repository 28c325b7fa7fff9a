"""Writing FFCV files (.beton) and their manifests.

Two properties are added to FFCV's own writer: a full disk, an unreadable image or a worker that is killed
ends it with an error, where it would lose images or wait for ever; and small files take no more room than
they need.
"""

import errno
import io
import math
import multiprocessing
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core import artefacts, files
from transferlens.core.errors import DataError
from transferlens.core.settings import DatasetSettings
from transferlens.data import decoded
from transferlens.data.artefacts import MANIFEST
from transferlens.data.ffcv_files import imported
from transferlens.data.index import Examples
from transferlens.data.splits import Split

_PAGE = 8 << 20
_IMAGES_A_CHUNK = 100
_PAGES_A_WORKER = 8
_JPEG_SAVES = 8  # roughly, against raw pixels
_BYTES_AN_EXAMPLE = 24  # in the file's metadata, and once more in its table of places


class _Guarded:
    """The images to write, as FFCV wants them; remembers the first failure instead of dying of it.

    FFCV's writer waits for ever for a worker that raised.
    """

    def __init__(self, split: Split, examples: Examples):
        self.split, self.examples = split, examples
        self.failed = multiprocessing.Value("q", -1)

    def __len__(self) -> int:
        return len(self.examples)

    def __getitem__(self, i: int) -> tuple[np.ndarray, int]:
        try:
            return self.split.image(int(self.examples.positions[i])), int(self.examples.labels[i])
        except Exception:
            self.failed.value = i
            return np.zeros((1, 1, 3), np.uint8), 0


def write_beton(
    path: Path, split: Split, examples: Examples, settings: DatasetSettings, workers: int
) -> None:
    """Write the examples of a split as an FFCV file with the fields `image` and `label`.

    Raises:
        ArtefactError: the disk is full, or a writing process was killed (say, for want of memory).
        DataError: an image that could be decoded for the index no longer can.
    """
    decoded.forget(path)
    images = _Guarded(split, examples)
    with imported() as ffcv, files.replace_file(path) as temporary:
        from ffcv.fields import IntField, RGBImageField

        field = RGBImageField(
            write_mode=settings.format,
            max_resolution=settings.max_resolution,
            jpeg_quality=settings.jpeg_quality,
        )
        page = _page(int((examples.sizes.prod(axis=1) * 3).max()))
        writer = ffcv.DatasetWriter(
            str(temporary),
            {"image": field, "label": IntField()},
            num_workers=_useful_workers(workers, examples, settings, page),
            page_size=page,
        )
        with redirect_stderr(sys.stderr if sys.stderr.isatty() else _Discard()):
            _write_all(writer, images)
        if images.failed.value >= 0:
            split.image(int(examples.positions[images.failed.value]))
            raise DataError(f"{path}: image {images.failed.value} could not be read when writing")


def expected_bytes(stored: np.ndarray) -> float:
    """Size of the FFCV file of images that take `stored` bytes each: float[images]."""
    if not len(stored):
        return 0.0
    page = _page(int(stored.max()))
    # An image is never cut: on average, half an image of each page stays empty.
    images_a_page = max(1, math.floor((page - stored.mean() / 2) / stored.mean()))
    metadata = -(-len(stored) * _BYTES_AN_EXAMPLE // page)
    return float(page * (metadata + -(-len(stored) // images_a_page)) + len(stored) * _BYTES_AN_EXAMPLE)


def _useful_workers(workers: int, examples: Examples, settings: DatasetSettings, page: int) -> int:
    """As many workers as leave little of the file empty: each leaves its last page unfilled."""
    stored = examples.sizes.prod(axis=1).sum() * 3 / (1 if settings.format == "raw" else _JPEG_SAVES)
    return max(1, min(workers, int(stored / page / _PAGES_A_WORKER)))


def _page(largest: int) -> int:
    """Bytes of a page that takes the largest image; FFCV wants a power of two."""
    return max(_PAGE, 1 << (2 * largest - 1).bit_length())


def _write_all(writer: Any, images: _Guarded) -> None:
    """As FFCV's `from_indexed_dataset`, but a worker that fails or is killed ends it with an OSError."""
    from ffcv.utils import chunks

    error_number = multiprocessing.Value("i", 0)
    numbers = list(enumerate(range(len(images))))
    with _failing_with_a_child(error_number):
        try:
            writer._write_common(
                len(numbers), chunks(numbers, _IMAGES_A_CHUNK), _write_chunks, (images, error_number)
            )
        except OSError:
            writer.metadata_sm.unlink()
            raise


def _write_chunks(*given: Any) -> None:
    """FFCV's worker, writing whole pages.

    Args:
        given: what FFCV hands to its own worker, and where the number of an error goes.
    """
    from ffcv.writer import worker_job_indexed_dataset

    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *queue_and_fields, allocator, done, allocations, images, error_number = given
    pages = _WholePages(allocator, error_number)
    worker_job_indexed_dataset(*queue_and_fields, pages, done, allocations, images)


class _WholePages:
    """FFCV's page allocator, whose own writes take no notice when the disk takes only a part of a page."""

    def __init__(self, allocator: Any, error_number: Synchronized):
        self._allocator, self._error_number = allocator, error_number

    def __getattr__(self, name: str):
        return getattr(self._allocator, name)

    def __enter__(self):
        self._allocator.__enter__()
        self._allocator.fp = _WholeWrites(self._allocator.fp, self._error_number)

    def __exit__(self, *error) -> None:
        self._allocator.__exit__(*error)


class _WholeWrites(io.BufferedWriter):
    """Writes all it is given at once, or leaves the error's number for the parent and ends the worker."""

    def __init__(self, file: io.RawIOBase, error_number: Synchronized):
        super().__init__(file)
        self.error_number = error_number

    def write(self, data: bytes | memoryview) -> int:
        """Write all of it, or end the process."""
        try:
            written = super().write(data)
            self.flush()
        except OSError as error:
            self.error_number.value = error.errno or errno.EIO
            os._exit(1)
        return written


@contextmanager
def _failing_with_a_child(error_number: Synchronized) -> Iterator[None]:
    """Raise an OSError in the block when a process it started fails; FFCV's writer would wait for ever."""

    def look(*_) -> None:
        while ended := _ended_child():
            if ended.si_status:
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # one error is enough
                number = error_number.value or errno.EIO
                killed = f"a process that writes images was ended by signal {ended.si_status}"
                raise OSError(number, os.strerror(number) if error_number.value else killed)

    others = multiprocessing.active_children()
    before = signal.signal(signal.SIGCHLD, look)
    try:
        yield
    finally:
        signal.signal(signal.SIGCHLD, before)
        for child in set(multiprocessing.active_children()).difference(others):
            child.kill()
            child.join()


def _ended_child() -> os.waitid_result | None:
    """The status of a child that has ended since the last call; None when there is none."""
    try:
        return os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG)
    except ChildProcessError:
        return None


class _Discard:
    """Swallows FFCV's progress bar where nobody watches it."""

    def write(self, text: str) -> int:
        """Take it for written."""
        return len(text)

    def flush(self) -> None:
        """Nothing is kept back."""


def write_manifest(path: Path, beton: Path, examples: int) -> None:
    """Record the size and checksum of an FFCV file, so that damage is noticed before it is read."""
    with artefacts.create(path, MANIFEST) as out:
        out.attribute("bytes", beton.stat().st_size)
        out.attribute("sha256", files.sha256(beton))
        out.attribute("examples", examples)
