"""Small image sets in every layout that users bring, and what goes wrong with them."""

import csv
import io
import os
import random
import tarfile
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from PIL import Image

from fuzzing import spoiling

SIDE = 8
CLASSES = ("cat", "dog", "owl")
COUNTS = {"train": 3, "val": 4}
KINDS = ("folder", "list", "table", "hdf5", "tar", "tar.gz", "zip")
Random = random.Random


@dataclass
class ImageSet:
    """A set on disk.

    Attributes:
        folder: that holds it.
        kind: its layout.
        path: what the configuration names.
        settings: of the configuration, beside the path.
        things: names of what was touched.
        late: what is done to the archive when all else is done.
    """

    folder: Path
    kind: str
    path: Path
    settings: dict[str, Any] = field(default_factory=dict)
    things: list[str] = field(default_factory=list)
    late: list[tuple[Callable[..., None], Random]] = field(default_factory=list)

    @property
    def files(self) -> list[Path]:
        """Everything in it that is no folder."""
        return sorted(path for path in self.folder.rglob("*") if path.is_symlink() or not path.is_dir())

    @property
    def images(self) -> list[Path]:
        """Its images."""
        return [path for path in self.files if path.suffix in (".png", ".jpg")]


def picture(numbers: Random) -> np.ndarray:
    """An image that no other is like: uint8[side, side, 3]."""
    return np.frombuffer(numbers.randbytes(SIDE * SIDE * 3), np.uint8).reshape(SIDE, SIDE, 3)


def make(folder: Path, kind: str, numbers: Random) -> ImageSet:
    """A sound set of three classes in a layout."""
    folder.mkdir()
    if kind == "hdf5":
        _write_hdf5(folder / "set.h5", numbers)
        return ImageSet(folder, kind, folder / "set.h5")
    for split, count in COUNTS.items():
        for name in CLASSES:
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                Image.fromarray(picture(numbers)).save(folder / split / name / f"{name}{i}.png")
    made = ImageSet(folder, kind, folder)
    if kind == "list":
        _write_lists(folder)
    elif kind == "table":
        made.path = folder / "set.csv"
        _write_table(folder)
    return made


def _rows(folder: Path) -> list[tuple[str, int, str]]:
    """(path, label, split) of every image."""
    return [
        (path.relative_to(folder).as_posix(), CLASSES.index(path.parent.name), path.parts[-3])
        for path in sorted(folder.rglob("*.png"))
    ]


def _write_lists(folder: Path) -> None:
    (folder / "image_list").mkdir()
    (folder / "image_list/classes.txt").write_text("".join(f"{name}\n" for name in CLASSES))
    for split, file in (("train", "train.txt"), ("val", "test.txt")):
        lines = [f"{path} {label}\n" for path, label, own in _rows(folder) if own == split]
        (folder / "image_list" / file).write_text("".join(lines))


def _write_table(folder: Path) -> None:
    with (folder / "set.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "label", "split"))
        rows.writerows((path, CLASSES[label], split) for path, label, split in _rows(folder))


def _write_hdf5(path: Path, numbers: Random) -> None:
    with h5py.File(path, "w") as file:
        for split, count in COUNTS.items():
            images = np.stack([picture(numbers) for _ in range(count * len(CLASSES))])
            file[f"{split}/images"] = images
            file[f"{split}/labels"] = np.repeat(np.arange(len(CLASSES)), count)
        file["class_names"] = list(CLASSES)


def pack(made: ImageSet) -> None:
    """Pack a folder as the archive that its kind is, and spoil that."""
    if made.kind not in ("tar", "tar.gz", "zip"):
        return
    archive = made.folder.with_name(f"set.{made.kind}")
    if made.kind == "zip":
        with zipfile.ZipFile(archive, "w") as opened:
            for path in made.files:
                if path.is_file():
                    opened.write(path, path.relative_to(made.folder))
    else:
        with tarfile.open(archive, "w:gz" if made.kind == "tar.gz" else "w") as opened:
            for split in ("train", "val"):
                if (made.folder / split).exists():
                    opened.add(made.folder / split, split)
    made.path = archive
    for change, numbers in made.late:
        change(archive, numbers)
    if made.late:
        made.things.append(archive.name)


# What goes wrong


def _touched(made: ImageSet, path: Path) -> Path:
    made.things += [path.name, path.parent.name]
    return path


def bytes_of_an_image(made: ImageSet, numbers: Random) -> None:
    """Bits, blocks or the end of a file."""
    if made.images:
        path = _touched(made, numbers.choice(made.images))
        if path.is_file():
            spoiling.spoil_bytes(path, numbers)


def bytes_of_a_list(made: ImageSet, numbers: Random) -> None:
    """The same of a table, a list, or an HDF5 file; of an archive, late."""
    if made.kind in ("tar", "tar.gz", "zip"):
        made.late.append((spoiling.spoil_bytes, numbers))
    elif others := [path for path in made.files if path not in made.images and path.is_file()]:
        spoiling.spoil_bytes(_touched(made, numbers.choice(others)), numbers)


def no_plain_file(made: ImageSet, numbers: Random) -> None:
    """A pipe, a folder, a broken link in a file's place."""
    if made.files:
        path = _touched(made, numbers.choice(made.files))
        numbers.choice(list(spoiling.FILES.values()))(path, numbers)


def odd_name(made: ImageSet, numbers: Random) -> None:
    """A file or a class of another name."""
    names = (
        *(
            b"\xff\xfe.png",
            b"a\nb.png",
            b"\x1b[31m.png",
            b"-rf.png",
            b" .png",
            b"x.PNG",
            b".png",
            b"x.txt",
            b"x" * 200,
        ),
        *(
            "\u202egnp.png".encode(),
            b"a,b.png",
            b'a"b.png',
            b"%s.png",
            b"<script>.png",
            b"__MACOSX",
            b"CAT",
            b"cat ",
        ),
    )
    if not made.images:
        return
    path = numbers.choice([*made.images, *{image.parent for image in made.images}])
    other = os.path.join(os.fsencode(path.parent), numbers.choice(names))
    made.things += [path.name, path.parent.name, os.fsdecode(os.path.basename(other)).strip()]
    if not os.path.lexists(other):
        os.rename(path, other)


def another_format(made: ImageSet, numbers: Random) -> None:
    """An image of another mode, size or file format under the same name, or a bomb."""
    if not made.images:
        return
    path = _touched(made, numbers.choice(made.images))
    spoiling.replace(path)
    kind = numbers.choice(
        ("L", "P", "CMYK", "I;16", "F", "LA", "RGBA", "1", "tall", "dot", "gif", "bomb", "jpeg")
    )
    if kind == "bomb":
        path.write_bytes(_png_of(100_000, 100_000))
        return
    size = {"tall": (1, 3000), "dot": (1, 1)}.get(kind, (SIDE, SIDE))
    image = Image.fromarray(picture(numbers)).resize(size)
    if kind in ("L", "P", "CMYK", "F", "LA", "RGBA", "1"):
        image = image.convert(kind)
    elif kind == "I;16":
        image = Image.fromarray(np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 1000)
    formats = {"F": "TIFF", "CMYK": "JPEG", "gif": "GIF", "jpeg": "JPEG"}
    image.save(path, format=formats.get(kind, "PNG"))


def _png_of(width: int, height: int) -> bytes:
    """A PNG that says that it is so large, and holds nothing."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    )


def same_twice(made: ImageSet, numbers: Random) -> None:
    """An image of one split in the other, too: a copy, a link, or the same path spelled otherwise."""
    of_split = {split: [p for p in made.images if split in p.parts] for split in COUNTS}
    if not all(of_split.values()):
        return
    one, other = numbers.choice(of_split["train"]), numbers.choice(of_split["val"])
    kind = numbers.choice(("copy", "link", "list"))
    made.things += [one.name, other.name]
    if kind == "copy" and one.is_file():
        data = one.read_bytes()
        spoiling.replace(other)
        other.write_bytes(data)
    elif kind == "link":
        spoiling.replace(other)
        other.symlink_to(os.path.relpath(one, other.parent))
    elif made.kind in ("list", "table"):
        inside = one.relative_to(made.folder).as_posix()
        spelled = numbers.choice(
            (inside, f"./{inside}", f"val/../{inside}", inside.replace("/", "//", 1), str(one))
        )
        label = CLASSES.index(one.parent.name) if one.parent.name in CLASSES else 0
        _append(made, spelled, label, "val", numbers)


def _append(made: ImageSet, path: str, label: object, split: str, numbers: Random) -> None:
    """A further line of a list or a table."""
    if made.kind == "table":
        name = CLASSES[label] if isinstance(label, int) and 0 <= label < len(CLASSES) else label
        with made.path.open("a", newline="", encoding="utf-8", errors="surrogateescape") as file:
            csv.writer(file).writerow((path, name, split))
    else:
        file = made.folder / "image_list" / ("train.txt" if split == "train" else "test.txt")
        with file.open("a", encoding="utf-8", errors="surrogateescape") as opened:
            print(path, label, file=opened)
    made.things += [path, "set.csv", "train.txt", "test.txt"]


def odd_row(made: ImageSet, numbers: Random) -> None:
    """A line of a list that is odd."""
    if made.kind not in ("list", "table") or not made.images or not made.path.exists():
        return
    inside = numbers.choice(made.images).relative_to(made.folder).as_posix()
    paths = (
        inside,
        "nowhere.png",
        "",
        "../../../../etc/passwd",
        "/dev/zero",
        "a\0b.png",
        "x" * 200_000,
        "é.png",
        ".",
    )
    labels = (0, 1, 99999999999999999999, -1, "1.0", "nan", "", "\x1b[2J", "cat", "a\0", "²")
    _append(
        made,
        numbers.choice(paths),
        numbers.choice(labels),
        numbers.choice(("train", "val", "test", "")),
        numbers,
    )


def lost(made: ImageSet, numbers: Random) -> None:
    """A file, a class of a split, or a split is gone."""
    places = [*made.files, *{p.parent for p in made.images}, *{p.parent.parent for p in made.images}]
    if places:
        spoiling.replace(_touched(made, numbers.choice(sorted(places))))


def one_class(made: ImageSet, numbers: Random) -> None:
    """All but one class are gone."""
    kept = numbers.choice(CLASSES)
    made.things += [*CLASSES, "classes"]
    for path in {p.parent for p in made.images}:
        if path.name != kept:
            spoiling.replace(path)


def other_settings(made: ImageSet, numbers: Random) -> None:
    """Settings of the data set."""
    made.settings |= numbers.choice(
        (
            *(
                {"unreadable": "skip"},
                {"unreadable": "skip"},
                {"val_per_class": 1},
                {"val_per_class": 2},
                {"train_per_class": 1},
            ),
            *(
                {"train_share": 0.01},
                {"classes": {"first": 1}},
                {"classes": {"first": 2}},
                {"classes": {"names": ["cat"]}},
            ),
            *(
                {"select_fraction": 0.01},
                {"format": "jpg"},
                {"max_resolution": 8},
                {"archive_limit_gb": 1e-6},
            ),
            {"groups": "groups.csv"},
        )
    )
    made.things += [*made.settings, "groups.csv"]


def groups_table(made: ImageSet, numbers: Random) -> None:
    """A table of groups, of which something is odd."""
    made.settings["groups"] = "groups.csv"
    rows = [["class", "group"], *([name, "ab"[i % 2]] for i, name in enumerate(CLASSES))]
    kind = numbers.choice(("sound", "nul", "twice", "empty", "ragged", "head", "huge", "bytes"))
    if kind == "twice":
        rows.append(rows[1])
    elif kind == "ragged":
        rows[1] = rows[1][:1]
    elif kind == "head":
        rows[0] = ["class", "class"]
    elif kind == "huge":
        rows[1][1] = "x" * 200_000
    text = "\n".join(",".join(row) for row in rows) + "\n"
    data = {"nul": text.replace("a", "\0", 1), "empty": ""}.get(kind, text).encode()
    Path("groups.csv").write_bytes(spoiling.flipped(data, numbers) if kind == "bytes" else data)
    made.things += ["groups.csv", *CLASSES]


def odd_hdf5(made: ImageSet, numbers: Random) -> None:
    """Datasets of another type, shape or size than images and labels have, or links in their place."""
    if made.kind != "hdf5" or not made.path.is_file():
        return
    split, what = numbers.choice(list(COUNTS)), numbers.choice(("images", "labels"))
    made.things += ["set.h5"]
    try:
        with h5py.File(made.path, "r+") as file:
            old = file[f"{split}/{what}"][()]
            del file[f"{split}/{what}"]
            _put_odd(file, f"{split}/{what}", old, numbers)
    except (OSError, KeyError, ValueError, RuntimeError):
        pass  # spoiled before


def _put_odd(file: h5py.File, name: str, old: np.ndarray, numbers: Random) -> None:
    odd: dict[str, Callable[[], Any]] = {
        "scalar": lambda: np.uint8(3),
        "compound": lambda: np.zeros(len(old), [("a", "i4"), ("b", "f4")]),
        "empty": lambda: h5py.Empty("f4"),
        "none": lambda: old[:0],
        "float": lambda: old.astype(np.float64),
        "fraction": lambda: old.astype(np.float64) / 255,
        "nan": lambda: _first(old.astype(np.float32), np.nan),
        "inf": lambda: _first(old.astype(np.float32), np.inf),
        "negative": lambda: _first(old.astype(np.int64), -1),
        "large": lambda: _first(old.astype(np.int64), 2**40),
        "unsigned": lambda: _first(old.astype(np.uint64), 2**64 - 1),
        "complex": lambda: old.astype(np.complex64),
        "bool": lambda: old.astype(bool),
        "shorter": lambda: old[:-1],
        "flat": lambda: old.reshape(len(old), -1),
        "flat int": lambda: old.reshape(len(old), -1).astype(np.int32),
        "height 0": lambda: np.zeros((len(old), 0, SIDE, 3), np.uint8),
        "text": lambda: [f"label {i % 3}\x1b[1m" for i in range(len(old))],
        "one class": lambda: np.zeros(len(old), np.int64),
    }
    kind = numbers.choice([*odd, "huge", "huge", "external", "circle", "ragged", "reference"])
    if kind == "huge":
        file.create_dataset(name, shape=(2**40, *old.shape[1:]), dtype=old.dtype, chunks=(1, *old.shape[1:]))
    elif kind == "external":
        file[name] = h5py.ExternalLink("/etc/passwd", "/x")
    elif kind == "circle":
        file[name] = h5py.SoftLink("/" + name)
    elif kind == "ragged":
        file.create_dataset(
            name, data=[np.arange(i % 3) for i in range(len(old))], dtype=h5py.vlen_dtype(np.int32)
        )
    elif kind == "reference":
        file.create_dataset(name, shape=(len(old),), dtype=h5py.ref_dtype)
    else:
        file[name] = odd[kind]()


def _first(array: np.ndarray, value: float) -> np.ndarray:
    """The array with another first number."""
    array = array.copy()
    array.flat[0] = value
    return array


def odd_member(made: ImageSet, numbers: Random) -> None:
    """A member of an archive that is there twice, leads outside, is no file, or says that it is huge."""
    if made.kind in ("tar", "tar.gz", "zip"):
        made.late.append((_add_member, numbers))


_MEMBERS = (
    *(
        "train/cat/cat0.png",
        "./train/cat/cat0.png",
        "train//cat/cat0.png",
        "TRAIN/cat/cat0.png",
        "train/Cat/cat0.png",
    ),
    *(
        "../out.png",
        "/tmp/fuzz-out.png",
        "train/cat/../dog/dog0.png",
        "train/cat/é.png",
        "train/cat/new.png",
        "C:\\x.png",
    ),
    *("train/cat/a\\b.png", "val/cat/\udcff.png", "train/cat", "train/cat/\x1b[1m.png"),
)


def _add_member(archive: Path, numbers: Random) -> None:
    name, data = numbers.choice(_MEMBERS), _png(numbers)
    if archive.suffix == ".zip":
        with zipfile.ZipFile(archive, "a") as opened:
            opened.writestr(zipfile.ZipInfo(name.encode(errors="replace").decode()), data)
        return
    members = []
    if archive.name.endswith(".gz"):
        with tarfile.open(archive) as opened:
            members = [(m, opened.extractfile(m).read() if m.isfile() else None) for m in opened]
    with tarfile.open(archive, "w:gz" if members else "a") as opened:
        for member, content in members:
            opened.addfile(member, None if content is None else io.BytesIO(content))
        info = tarfile.TarInfo(name)
        kind = numbers.choice(("file", "file", "file", "link", "hard", "fifo", "device", "folder"))
        info.size = len(data) if kind == "file" else 0
        info.type = {"link": tarfile.SYMTYPE, "hard": tarfile.LNKTYPE, "fifo": tarfile.FIFOTYPE}.get(
            kind, info.type
        )
        info.type = {"device": tarfile.CHRTYPE, "folder": tarfile.DIRTYPE}.get(kind, info.type)
        info.linkname = numbers.choice(
            ("../../../etc/passwd", "train/dog/dog0.png", "/etc/passwd", "cat0.png", name)
        )
        opened.addfile(info, io.BytesIO(data) if kind == "file" else None)


def _png(numbers: Random) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture(numbers)).save(stream, "PNG")
    return stream.getvalue()


STEPS: dict[str, Callable[[ImageSet, Random], None]] = {
    step.__name__: step
    for step in (
        *(
            bytes_of_an_image,
            bytes_of_a_list,
            no_plain_file,
            odd_name,
            another_format,
            same_twice,
            odd_row,
            lost,
        ),
        *(one_class, other_settings, groups_table, odd_hdf5, odd_hdf5, odd_member),
    )
}
