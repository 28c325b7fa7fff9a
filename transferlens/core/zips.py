"""Zip files of torch.save, compared with the checksums in them, which torch.load does not look at."""

import struct
import zipfile
from collections.abc import Sequence
from pathlib import Path

_BEGINS = b"PK\x03\x04"
_UNREADABLE = (
    zipfile.BadZipFile,
    NotImplementedError,
    RuntimeError,
    EOFError,
    ValueError,
    OSError,
    struct.error,
)


def is_zip(path: Path) -> bool:
    """Whether a file begins as a zip file does."""
    with path.open("rb") as file:
        return file.read(len(_BEGINS)) == _BEGINS


def fault(path: Path) -> str:
    """What is wrong with a zip file of torch.save, in words; '' where nothing is.

    All of it is read, a megabyte at a time: a flipped bit in a tensor would silently be another network.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            return _declared(archive.infolist(), path.stat().st_size) or _content(archive)
    except _UNREADABLE:
        return "it is cut off or damaged"


def _declared(members: Sequence[zipfile.ZipInfo], size: int) -> str:
    """What is wrong with the list of members, which says how much memory they take."""
    names = [member.filename for member in members]
    if len(set(names)) < len(names):
        return f"it holds '{max(names, key=names.count)}' twice"
    packed = [member.filename for member in members if member.compress_type != zipfile.ZIP_STORED]
    if packed:
        return f"it holds '{packed[0]}' compressed, which torch.save does not do"
    declared = sum(max(member.file_size, member.compress_size) for member in members)
    return f"it declares {declared:,} bytes, and has {size:,}" if declared > size else ""


def _content(archive: zipfile.ZipFile) -> str:
    """What differs from its checksum; nothing where torch was told to write none (`set_crc32_options`)."""
    if not any(member.CRC for member in archive.infolist()):
        return ""
    damaged = archive.testzip()
    return "" if damaged is None else f"'{damaged}' in it differs from its checksum"
