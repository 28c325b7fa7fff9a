"""Image sets in the layout of torchvision's data set classes, or downloaded by them."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core.errors import DataError
from transferlens.core.files import first_line
from transferlens.data import archive
from transferlens.data.catalogue import Facts
from transferlens.data.splits import ImageSet, Split, array_split, file_split, image_set

# Where torchvision's classes keep the paths and the labels of their images; some keep pixels instead.
_PATHS = ("_image_files", "_images", "_samples")
_LABELS = ("targets", "labels", "_labels", "_samples")


def is_there(facts: Facts, root: Path) -> bool:
    """Whether torchvision would find the set below `root`, complete or not."""
    spec = facts.torchvision
    return bool(spec) and "train" in spec and (root / spec["folder"]).exists()


def open_set(facts: Facts, root: Path, labels: Sequence[str] | None) -> ImageSet:
    """Read the set below `root`; its classes are labelled by `labels` in the publishers' order, if these are
    known, else by torchvision.

    Raises:
        DataError: files that are missing, damaged or of another version.
    """
    spec = facts.torchvision
    parts = {
        split: [_open(facts, root, arguments) for arguments in spec[split]] for split in ("train", "val")
    }
    train, val = (_join(facts, root, parts[split], split) for split in parts)
    return image_set(labels or parts["train"][0].classes, train, val)


def download(facts: Facts, root: Path) -> None:
    """Let torchvision download the set into `root`, where it appears only when it is complete.

    Raises:
        DataError: the download fails.
    """
    with archive.whole_entries(root, facts.torchvision["class"]) as temporary:
        for arguments in (*facts.torchvision.get("train", [{}]), *facts.torchvision.get("val", [])):
            try:
                _class(facts)(temporary, download=True, **arguments)
            except Exception as error:  # torchvision and urllib raise all kinds of errors
                raise DataError(
                    f"{facts.title}: the download failed ({first_line(error)}); get it from {facts.origin}"
                ) from error


def _class(facts: Facts):
    import torchvision.datasets

    return getattr(torchvision.datasets, facts.torchvision["class"])


def _open(facts: Facts, root: Path, arguments: dict):
    try:
        return _class(facts)(root, **arguments)
    except Exception as error:  # a file that is missing or cut off ends in all kinds of errors
        raise _incomplete(facts, root, error) from error


def _incomplete(facts: Facts, root: Path, error: Exception) -> DataError:
    folder = root / facts.torchvision["folder"]
    for file, expected in _checksums(facts):
        downloaded = folder / file
        if not downloaded.is_file():
            return DataError(
                f"{downloaded}: no such file, so {facts.title} is half-downloaded; fetch it again"
            )
        archive.check(downloaded, f"md5:{expected}")
    return DataError(
        f"{folder}: not a complete copy of {facts.title} ({first_line(error)}); delete it and fetch it again"
    )


def _checksums(facts: Facts) -> Iterator[Sequence[str]]:
    """File names and MD5 that torchvision's class knows, below the set's folder."""
    known = _class(facts)
    yield from getattr(known, "train_list", [])
    yield from getattr(known, "test_list", [])


def _join(facts: Facts, root: Path, parts: list, name: str) -> Split:
    """The parts of a split, as one."""
    labels = np.concatenate([np.asarray(_labels(part), dtype=np.int64) for part in parts])
    labels -= facts.torchvision.get("first_label", 0)
    paths = [_first_attribute(part, _PATHS) for part in parts]
    if paths[0] is None:
        pixels = np.concatenate([_pixels(part, facts) for part in parts])
        return array_split(pixels, labels, name)
    files = [sample[0] if isinstance(sample, tuple) else sample for part in paths for sample in part]
    return file_split(root, [str(Path(file).relative_to(root)) for file in files], labels, name)


def _labels(part: Any) -> Sequence[int]:
    labels = _first_attribute(part, _LABELS)
    return [sample[1] for sample in labels] if isinstance(labels[0], tuple) else labels


def _pixels(part: Any, facts: Facts) -> np.ndarray:
    """uint8[images, height, width] or uint8[images, height, width, 3]."""
    pixels = np.asarray(part.data)
    if pixels.ndim == 4 and pixels.shape[1] == 3:  # channels first
        pixels = pixels.transpose(0, 2, 3, 1)
    return pixels.swapaxes(1, 2) if facts.torchvision.get("transposed") else pixels


def _first_attribute(part: Any, names: Sequence[str]) -> Any:
    return next((getattr(part, name) for name in names if getattr(part, name, None) is not None), None)
