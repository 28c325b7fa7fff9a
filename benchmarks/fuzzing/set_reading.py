"""What is in an image set, by PIL, h5py, csv, tarfile and zipfile alone."""

import csv
import hashlib
import io
import os
import posixpath
import tarfile
import zipfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
from PIL import Image

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm", ".pgm")


@dataclass(frozen=True)
class Picture:
    """An image as it lies there.

    Attributes:
        place: which file it is, however it is spelled.
        name: of its class.
        pixels: uint8[height, width, 3]; None where it cannot be decoded.
    """

    place: str
    name: str
    pixels: np.ndarray | None


class Uncertain(Exception):
    """This reading has nothing to say of a set."""


def read(kind: str, path: Path) -> dict[str, list[Picture]]:
    """The images of both splits.

    Raises:
        Uncertain: it is not laid out in this way.
    """
    try:
        if kind == "hdf5":
            return _hdf5(path)
        if kind == "table":
            return _table(path)
        if kind == "list" and (path / "image_list/train.txt").is_file():
            return _lists(path)
        return _folder(path)
    except (OSError, ValueError, KeyError, IndexError, csv.Error, UnicodeError, AttributeError) as error:
        raise Uncertain from error


def _folder(root: Path) -> dict[str, list[Picture]]:
    made: dict[str, list[Picture]] = {}
    for split in ("train", "val"):
        made[split] = [
            _of_file(Path(entry.path), name)
            for name in sorted(os.listdir(root / split))
            if not name.startswith(".") and name != "__MACOSX" and (root / split / name).is_dir()
            for entry in sorted(os.scandir(root / split / name), key=lambda e: e.name)
            if not entry.name.startswith(".") and entry.name.lower().endswith(SUFFIXES)
        ]
    return made


def _of_file(path: Path, name: str) -> Picture:
    return Picture(os.path.realpath(path), name, decoded(path) if path.is_file() else None)


def decoded(file: Path | io.BytesIO) -> np.ndarray | None:
    """The first frame as bytes; None where PIL cannot read all of it."""
    try:
        with Image.open(file) as image:
            if image.width * image.height > 10**8:
                return None
            image.load()
            if image.mode.startswith("I;16"):
                return np.repeat(
                    (np.asarray(image).astype(np.int64) // 257).astype(np.uint8)[:, :, None], 3, axis=2
                )
            return np.asarray(image.convert("RGB"))
    except Exception:
        return None


def _table(path: Path) -> dict[str, list[Picture]]:
    made: dict[str, list[Picture]] = {"train": [], "val": []}
    with path.open(newline="", encoding="utf-8-sig") as file:
        for row in csv.DictReader(file):
            made[row["split"]].append(_of_file(path.parent / row["path"], row["label"]))
    return made


def _lists(root: Path) -> dict[str, list[Picture]]:
    names = (root / "image_list/classes.txt").read_text().split("\n")
    made = {}
    for split, file in (("train", "train.txt"), ("val", "test.txt")):
        rows = [
            line.rpartition(" ")
            for line in (root / "image_list" / file).read_text().splitlines()
            if line.strip()
        ]
        made[split] = [_of_file(root / place.strip(), names[int(label)].strip()) for place, _, label in rows]
    return made


def _hdf5(path: Path) -> dict[str, list[Picture]]:
    made = {}
    with h5py.File(path) as file:
        names = [name.decode() for name in file["class_names"][:]]
        for split in ("train", "val"):
            images, labels = file[f"{split}/images"][:], file[f"{split}/labels"][:]
            made[split] = [
                Picture(f"{split}/{i}", names[int(label)], _as_bytes(images[i]))
                for i, label in enumerate(labels)
            ]
    return made


def _as_bytes(pixels: np.ndarray) -> np.ndarray:
    """uint8[height, width, 3], of floats in [0, 1] as well."""
    if pixels.dtype.kind == "f":
        pixels = (pixels * 255).round().astype(np.uint8)
    if pixels.ndim == 1:
        side = round(len(pixels) ** 0.5)
        pixels = pixels.reshape(side, side)
    return np.repeat(pixels[:, :, None], 3, axis=2) if pixels.ndim == 2 else pixels


def repeated_members(archive: Path) -> list[str]:
    """Names that an archive holds more than once, however they are spelled.

    Raises:
        Uncertain: it cannot be read to its end.
    """
    try:
        if archive.suffix == ".zip":
            with zipfile.ZipFile(archive) as opened:
                if opened.testzip():
                    raise Uncertain
                names = [name for name in opened.namelist() if not name.endswith("/")]
        else:
            with tarfile.open(archive) as opened:
                names = [member.name for member in opened if not member.isdir()]
    except (
        OSError,
        EOFError,
        tarfile.TarError,
        zipfile.BadZipFile,
        NotImplementedError,
        ValueError,
    ) as error:
        raise Uncertain from error
    counts = Counter(posixpath.normpath(name.replace("\\", "/")) for name in names)
    return [name for name, count in counts.items() if count > 1]


def in_both(found: dict[str, list[Picture]]) -> list[str]:
    """Files that are in both splits."""
    train = {picture.place for picture in found["train"]}
    return sorted({picture.place for picture in found["val"]} & train)


def alike_in_both(found: dict[str, list[Picture]]) -> int:
    """How many val images have the very pixels of a training image."""
    train = {_digest(picture.pixels) for picture in found["train"] if picture.pixels is not None}
    return sum(p.pixels is not None and _digest(p.pixels) in train for p in found["val"])


def _digest(pixels: np.ndarray) -> bytes:
    return hashlib.sha256(repr(pixels.shape).encode() + np.ascontiguousarray(pixels).tobytes()).digest()
