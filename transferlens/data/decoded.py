"""Decoded copies of small image sets: most jobs read one, and import no FFCV.

Images are what the FFCV file holds. The first job that decodes all of a small one by some crop leaves the
bytes that FFCV gave in a hidden folder beside the file, and later jobs take them from there. A copy says of
which file it is (by the checksum in the manifest), and which code and FFCV decoded it; where that is another,
or the copy is damaged, it counts as not there. Where none can be written, each job decodes for itself.
"""

import hashlib
import importlib.metadata
import json
import math
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core import artefacts, files, job
from transferlens.core.errors import ArtefactError
from transferlens.data.artefacts import DECODED, MANIFEST

_MOST_BYTES = 256 << 20  # of a copy; to decode more takes so long that FFCV's import is no matter


def decoded(
    beton: Path, crop: Sequence[Any], code: Sequence[str], decode: Callable[[], np.ndarray]
) -> np.ndarray:
    """All images of an FFCV file by a crop, uint8[images, side, side, 3]: a copy's, or else as decoded now.

    Args:
        crop: resolution, share of the shorter side, and way of enlarging.
        code: source of what decodes.
    """
    path = _folder(beton) / "-".join(map(str, crop))
    identity = _identity(beton, crop, code)
    found = _read(path, identity)
    if found is not None:
        return found
    images = decode()
    if images.nbytes <= _MOST_BYTES:
        try:
            _write(path, identity, images)
        except ArtefactError as error:  # a folder that may only be read, a full disk, another job's copy
            job.log.info("no decoded copy is kept: %s", error)
    return images


def forget(beton: Path) -> None:
    """Remove the copies of an FFCV file."""
    shutil.rmtree(_folder(beton), ignore_errors=True)


def _folder(beton: Path) -> Path:
    return beton.with_name(f".{beton.stem}{DECODED}")


def _identity(beton: Path, crop: Sequence[Any], code: Sequence[str]) -> dict[str, Any]:
    """All that decides the bytes of a copy."""
    with artefacts.open(beton.with_suffix(".h5"), MANIFEST) as manifest:
        of_file = str(manifest.attrs["sha256"])
    return {
        "file": of_file,
        "crop": list(crop),
        "code": hashlib.sha256("\n".join(code).encode()).hexdigest(),
        "ffcv": importlib.metadata.version("ffcv"),
    }


def _read(path: Path, identity: dict[str, Any]) -> np.ndarray | None:
    """The images of a copy; None if it is not there, of something else, or damaged."""
    try:
        with path.open("rb") as file:
            header = json.loads(file.readline())
            if header["of"] != identity or not 0 < math.prod(header["shape"]) <= _MOST_BYTES:
                return None
            images = np.empty(header["shape"], np.uint8)
            whole = file.readinto(images) == images.nbytes and not file.read(1)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return images if whole and header["sha256"] == _digest(images) else None


def _write(path: Path, identity: dict[str, Any], images: np.ndarray) -> None:
    """Write a copy: a line of JSON, and the bytes."""
    header = {"of": identity, "shape": images.shape, "sha256": _digest(images)}
    with files.replace_file(path) as temporary, temporary.open("wb") as file:
        file.write(json.dumps(header).encode() + b"\n")
        file.write(np.ascontiguousarray(images))


def _digest(images: np.ndarray) -> str:
    """The SHA-256 of images and their shape."""
    digest = hashlib.sha256(str(images.shape).encode())
    digest.update(np.ascontiguousarray(images))
    return digest.hexdigest()
