"""Where the images of a data set are, and bringing them there: unpacked or downloaded.

A set is looked for in this order, and the first place that has it is taken: the path in its settings; in
the data root, its own folder (as an image folder, as image lists or in its publishers' layout),
torchvision's or the publishers' folder, a table, HDF5 file or archive of its name, the publishers' archives;
the system; torchvision's download.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from transferlens.core import files
from transferlens.core.errors import DataError
from transferlens.data import (
    archive,
    classnames,
    digits,
    folder,
    hdf5,
    image_lists,
    imagenet,
    layouts,
    tables,
    torchvision_sets,
)
from transferlens.data.catalogue import CATALOGUE, Facts
from transferlens.data.splits import ImageSet

_READERS = {".csv": tables, ".txt": image_lists, ".h5": hdf5, ".hdf5": hdf5}
_RECORD = ".unpacked-from.json"
_WRAPPERS = 3  # folders of one folder each that an archive may wrap around its images


@dataclass(frozen=True)
class Found:
    """A place that has an image set.

    Attributes:
        where: the folder or file.
        open: reads it; classes are labelled as they are there.
        labels: lists the classes alone, where that is faster.
    """

    where: Path
    open: Callable[[], ImageSet]
    labels: Callable[[], list[str]]


def fetch(name: str, path: str | None, root: Path, download: bool, limit_gb: float) -> Found:
    """The place of a set, after unpacking or downloading it where that is needed.

    Raises:
        DataError: it is nowhere, or what is there is damaged or unsafe to unpack.
    """
    if path is not None:
        return _at_path(name, Path(path)) or _unpacked(name, Path(path), root, limit_gb)
    if name == "imagenet":
        _unpack_imagenet(root / name, limit_gb)
    if found := _in_root(name, root):
        return found
    if packed := _archive_of(name, root):
        return _unpacked(name, packed, root, limit_gb)
    facts = CATALOGUE[name]
    _unpack_publishers(facts, root, limit_gb)
    if found := _in_root(name, root) or _on_system(name):
        return found
    can_download = facts.torchvision is not None and facts.torchvision.get("download", True)
    if download and can_download:
        torchvision_sets.download(facts, root)
        if found := _in_root(name, root):
            return found
    raise nowhere(name, root, "set download: true" if can_download and not download else "")


def labels_on_disk(name: str, path: str | None, root: Path) -> list[str] | None:
    """The classes of a set as they are labelled on disk; archives are listed, not unpacked.

    Returns None where the set is not there.
    """
    found = _at_path(name, Path(path)) if path else _in_root(name, root)
    if found:
        return found.labels()
    packed = Path(path) if path else _archive_of(name, root)
    if packed is None:
        return None
    unpacked = _in_folder(name, root / name)
    return unpacked.labels() if unpacked else archive.class_names(packed)


def nowhere(name: str, root: Path, cure: str = "") -> DataError:
    """The error that a registered set is not there: where it was looked for, and where to get it."""
    facts = CATALOGUE[name]
    places = [f"{root / name}/train/<class>/*", f"{root / name}.tar (.tar.gz, .zip, .h5, .csv)"]
    places += [str(root / file) for file in facts.archives]
    if facts.torchvision:
        places.append(str(root / facts.torchvision["folder"]))
    cures = [cure, f"get it from {facts.origin}", f"or set datasets.{name}.path"]
    missing = "" if root.is_dir() else " (no such folder)"
    return DataError(
        f"data set {name}: not in {root}{missing}; looked for {', '.join(dict.fromkeys(places))}; "
        + ", ".join(filter(None, cures))
    )


def _in_root(name: str, root: Path) -> Found | None:
    """A set that lies ready in the data root."""
    packed = (_file(root / f"{name}{suffix}") for suffix in _READERS if (root / f"{name}{suffix}").is_file())
    return _in_folder(name, root / name) or _in_layout(name, root, own=False) or next(packed, None)


def _at_path(name: str, path: Path) -> Found | None:
    """A set at the path of its settings; None for an archive.

    Raises:
        DataError: a file of another kind.
    """
    if path.is_dir():
        return _in_folder(name, path) or _image_folder(path)
    if archive.is_archive(path):
        return None
    if found := _file(path):
        return found
    known = ", ".join((*_READERS, *archive.SUFFIXES))
    raise DataError(f"{path}: a data set is a folder, or a file that ends in {known}")


def _in_folder(name: str, place: Path) -> Found | None:
    """A set in a folder of its own, as its publishers or the user laid it out, perhaps within wrappers."""
    for _ in range(1 + _WRAPPERS):
        if not place.is_dir():
            return None
        if found := _in_layout(name, place, own=True):
            return found
        if lists := image_lists.in_folder(place):
            return _file(lists)
        if folder.is_image_folder(place):
            return _image_folder(place)
        inside = folder.subfolders(place)
        if len(inside) != 1:
            return None
        place = place / inside[0]
    return None


def _in_layout(name: str, root: Path, own: bool) -> Found | None:
    """A set in its publishers' or torchvision's layout below a folder, or in it if it is its own."""
    if place := layouts.find(name, root, own):
        return _read_by(place, lambda: layouts.read(name, place))
    facts = CATALOGUE.get(name)
    for place in (root, root.parent) if own else (root,):
        if facts and torchvision_sets.is_there(facts, place):
            return _torchvision(name, facts, place)
    return None


def _torchvision(name: str, facts: Facts, root: Path) -> Found:
    known = classnames.known(name)
    where = root / facts.torchvision["folder"]
    return _read_by(where, lambda: torchvision_sets.open_set(facts, root, known and known.labels))


def _read_by(where: Path, read: Callable[[], ImageSet]) -> Found:
    return Found(where, read, lambda: read().class_names)


def _image_folder(place: Path) -> Found:
    return Found(place, lambda: folder.open_folder(place), lambda: folder.class_names(place))


def _file(path: Path) -> Found | None:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        return None
    return Found(path, lambda: reader.read(path), lambda: reader.class_names(path))


def _on_system(name: str) -> Found | None:
    """Debian packages one of the sets."""
    if name == "fashion-mnist" and digits.debian_has_fashion_mnist():
        return _read_by(digits.FASHION_FOLDER, digits.open_debians_fashion_mnist)
    return None


def _archive_of(name: str, root: Path) -> Path | None:
    """An archive in the data root that is named as the set."""
    names = (root / f"{name}{suffix}" for suffix in archive.SUFFIXES)
    return next((path for path in names if path.is_file()), None)


def _unpacked(name: str, packed: Path, root: Path, limit_gb: float) -> Found:
    """The folder `<data root>/<name>` that an archive is unpacked into, now or earlier."""
    place = root / name
    if place.exists():
        _require_same_archive(place, packed)
    else:
        facts = CATALOGUE.get(name)
        published = {Path(file).name: checksum for file, checksum in facts.archives.items()} if facts else {}
        archive.check(packed, published.get(packed.name))
        with archive.whole(place) as temporary:
            archive.unpack(packed, temporary, limit_gb)
            (temporary / _RECORD).write_text(json.dumps(_identity(packed)))
    return _in_folder(name, place) or _image_folder(place)


def _identity(packed: Path) -> dict:
    status = packed.stat()
    return {"bytes": status.st_size, "mtime": status.st_mtime_ns, "sha256": files.sha256(packed)}


def _require_same_archive(place: Path, packed: Path) -> None:
    """Refuse a folder that holds something else than what would now be unpacked into it."""
    try:
        recorded = json.loads((place / _RECORD).read_text())
        size, modified, expected = (recorded[key] for key in ("bytes", "mtime", "sha256"))
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise DataError(
            f"{place}: is there, but was not unpacked from {packed}; delete one of them, or rename the folder"
        ) from error
    status = packed.stat()
    if (size, modified) == (status.st_size, status.st_mtime_ns):
        return
    digest = files.sha256(packed)
    if digest != expected:
        raise DataError(
            f"{place}: was unpacked from an archive with sha256 {expected}, but that of {packed} "
            f"is {digest}; delete the folder, so that it is unpacked anew"
        )


def _unpack_publishers(facts: Facts, root: Path, limit_gb: float) -> None:
    """Unpack those of the publishers' archives that lie in the data root, where torchvision would."""
    for file, checksum in facts.archives.items():
        for packed in (root / file, root / Path(file).name):
            if packed.is_file():
                archive.check(packed, checksum)
                archive.extract_into(packed, (root / file).parent, limit_gb, facts.nested)
                break


def _unpack_imagenet(place: Path, limit_gb: float) -> None:
    archives = CATALOGUE["imagenet"].archives
    imagenet.prepare(place, {Path(file).name: checksum for file, checksum in archives.items()}, limit_gb)
