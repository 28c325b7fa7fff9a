"""What is known of data sets before they are prepared: from their index, or from what publishers state."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from transferlens.core import artefacts
from transferlens.core.artefacts import RESULTS
from transferlens.core.errors import ArtefactError, TransferlensError
from transferlens.core.run import Run
from transferlens.core.settings import DatasetSettings
from transferlens.data import ffcv_writing, sources
from transferlens.data.artefacts import INDEX
from transferlens.data.capability import described, images_of
from transferlens.data.catalogue import CATALOGUE, limited

_SPLITS = ("train", "val")
_SAMPLE_IMAGES = 64


@dataclass(frozen=True)
class Data:
    """A data set as it will be prepared; None for what is not known before it is.

    Attributes:
        train, val: images.
        classes, groups: labels, and coarser names of them.
        bytes_of: bytes of its FFCV files, by split, where these are known.
        basis: where all this comes from.
        dimensions: sizes of the dimensions of its index.
        longest_id: bytes of the longest example id; 0 where these are not known.
        problem: why its index is of no use, with the cure; '' where there is none, or a whole one.
    """

    train: int | None
    val: int | None
    classes: int | None
    basis: str
    groups: int | None = None
    bytes_of: Mapping[str, float] = field(default_factory=dict)
    dimensions: Mapping[str, int | None] = field(default_factory=dict)
    longest_id: int = 0
    problem: str = ""

    @property
    def countable(self) -> bool:
        """Whether models can be trained on it on paper."""
        return None not in (self.train, self.val, self.classes)


def describe_all(run: Run, results: Path) -> dict[str, Data]:
    """Every data set of a run."""
    return {name: describe(run, name, results) for name in run.dataset_names}


def describe(run: Run, name: str, results: Path) -> Data:
    """A data set's sizes: from its index where there is a whole one, else from what its publishers state."""
    path = results / Path(INDEX.at(dataset=name)).relative_to(RESULTS)
    if not path.exists():
        return _published(run, name)
    try:
        return _indexed(run, name, path)
    except ArtefactError as error:
        return replace(_published(run, name), problem=str(error))


def _published(run: Run, name: str) -> Data:
    """A data set that is not prepared."""
    settings, facts = run.dataset(name), CATALOGUE.get(images_of(run, name))
    try:
        names, coarser = described(run, name)
    except TransferlensError:
        names, coarser = None, []
    groups = len(set(coarser)) if names and any(coarser) else None
    own = len(names) if names else None
    if facts is None or settings.path is not None:
        return Data(None, None, own, "unknown", groups)
    chosen = own or facts.classes
    part = settings.train_per_class, settings.train_share
    train = _used(facts.train_images, facts.classes, chosen, *part)
    val = _used(facts.val_images, facts.classes, chosen, settings.val_per_class)
    classes = groups if settings.labels == "groups" else chosen
    sizes = {"class": classes, "own_class": facts.classes, "train_example": train, "val_example": val}
    basis = "published counts" if settings.classes is None else "published counts, the same of every class"
    return Data(train, val, classes, basis, groups, {}, {**sizes, "skipped": 0})


def _used(
    images: int | None,
    classes: int | None,
    chosen: int | None,
    per_class: int | None,
    share: float | None = None,
) -> int | None:
    """Images used of a split: of some of its classes, so many (or a share) a class; None where not known."""
    if images is None or chosen is None:
        return limited(images, classes, per_class, share)
    return limited(round(images * chosen / (classes or chosen)), chosen, per_class, share)


def _indexed(run: Run, name: str, path: Path) -> Data:
    """A data set with an index.

    Raises:
        ArtefactError: there is none, or it is damaged.
    """
    with artefacts.open(path, INDEX) as file:
        artefacts.require_declared(path, file, INDEX)
        groups = len(set(artefacts.names(file["class_group"])))
        sizes = {split: file[f"{split}_size"][:] for split in _SPLITS}
        positions = {split: file[f"{split}_position"][:] for split in _SPLITS}
        dimensions = {field.dims[0]: len(file[field.dims[0]]) for field in INDEX.fields}
        longest_id = max(file[f"{split}_example"].dtype.itemsize for split in _SPLITS)
    bytes_of = {}
    for split in _SPLITS:
        beton = path.with_name(f"{split}.beton")
        known = _beton_bytes(run, name, beton, sizes[split], positions[split])
        bytes_of |= {} if known is None else {split: known}
    return Data(
        dimensions["train_example"],
        dimensions["val_example"],
        dimensions["class"],
        "its index",
        groups,
        bytes_of,
        dimensions,
        longest_id,
    )


def _beton_bytes(run: Run, name: str, beton: Path, sizes: np.ndarray, positions: np.ndarray) -> float | None:
    """Bytes of an FFCV file: of the one that is there, else by the sizes int64[images, 2] of its images."""
    if beton.exists():
        return beton.stat().st_size
    settings = run.dataset(name)
    pixels = _stored_sizes(sizes, settings.max_resolution).prod(1) * 3.0
    if settings.format == "raw":
        return ffcv_writing.expected_bytes(pixels)
    ratio = _jpeg_ratio(run, name, beton.stem, sizes, positions)
    return None if ratio is None else ffcv_writing.expected_bytes(pixels * ratio)


def _stored_sizes(sizes: np.ndarray, longest: int | None) -> np.ndarray:
    """Height and width float[images, 2] after shrinking to the longer side `longest`."""
    shrunk = np.minimum(1.0, longest / sizes.max(1)) if longest else np.ones(len(sizes))
    return np.rint(sizes * shrunk[:, None])


def _jpeg_ratio(run: Run, name: str, split: str, sizes: np.ndarray, positions: np.ndarray) -> float | None:
    """Bytes of a JPEG over those of its pixels, of some of the images; None where they are not there."""
    import cv2

    settings: DatasetSettings = run.dataset(name)
    root = Path(run.settings.data_root)
    try:
        images = sources.open_image_set(images_of(run, name), settings, root, False, complete=False)
    except TransferlensError:
        return None
    encoded = plain = 0
    for i in np.linspace(0, len(sizes) - 1, min(_SAMPLE_IMAGES, len(sizes))).astype(int):
        height, width = _stored_sizes(sizes[[i]], settings.max_resolution)[0].astype(int)
        pixels = cv2.resize(getattr(images, split).image(int(positions[i])), (int(width), int(height)))
        encoded += len(cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, settings.jpeg_quality])[1])
        plain += pixels.nbytes
    return encoded / plain
