"""Bytes of files before they are made, from what capabilities declare of them.

An array takes the product of its dimensions' sizes times the bytes of an item; compressed ones a share of it,
as measured on the smoke study. What HDF5 needs beside is measured on an empty file of the same kind, written
for a moment. Networks are built without memory (torch's meta device) to count their parameters.
"""

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from transferlens.core import artefacts, provenance
from transferlens.core.artefacts import Artefact, Field
from transferlens.core.capability import Beside, Capability, Step, Wildcards
from transferlens.core.run import Run
from transferlens.core.settings import NetworkSettings
from transferlens.operations.datasets import Data
from transferlens.operations.places import Place

# Bytes of a compressed array over those of its values, by the type of these.
_COMPRESSED = {"b": 0.3, "i": 0.13, "u": 0.3, "S": 0.2, "f": 0.95}
# Files beside artefacts by suffix, each a mean over the smoke study. Pages hold pictures as text.
_BESIDE = {".png": 108_000, ".svg": 22_500, ".csv": 16_000}
_AS_TEXT = 4 / 3
_CLASS_BYTES = 1  # of positions in up to 256 classes
_NAME_BYTES = 16  # of names that are not known yet
_CHUNK_BYTES = 24  # what HDF5 notes of a chunk
_DIGEST_BYTES = 70  # a checksum of an input, and what stands around it
_FULL_PRECISION = 4


@dataclass(frozen=True)
class Size:
    """Bytes of a file, and the dimensions whose sizes are not known: it then holds more than that."""

    bytes: float
    unknown: frozenset[str] = field(default_factory=frozenset)


class Sizes:
    """Sizes of the files of a run.

    Args:
        data: every data set of the run, as far as it is known.
    """

    def __init__(self, run: Run, data: Mapping[str, Data]):
        self.run, self.data = run, data
        self._alike: dict[tuple, Size] = {}

    def of(self, place: Place) -> Size:
        """Bytes of one file; shards of as many models take the same."""
        names = dict(place.wildcards)
        if "shard" in names:
            names["shard"] = self._models(names)
        key = (place.made.path, *names.items())
        if key not in self._alike:
            self._alike[key] = self._one(place)
        return self._alike[key]

    def _one(self, place: Place) -> Size:
        known = self.known(place.wildcards)
        given = {**known, **place.capability.sizes(self.run, place.made, place.wildcards, known)}
        if isinstance(place.made, Artefact):
            size = self._artefact(place.made, given, place.wildcards)
            return Size(size.bytes + self._provenance(place), size.unknown)
        return self._beside(place, given)

    def _provenance(self, place: Place) -> int:
        """Bytes of what a file says of its making."""
        inputs = self.run.inputs(place.step.name, place.wildcards).values()
        paths = [path for value in inputs for path in ([value] if isinstance(value, str) else value)]
        settings = self.run.settings_of(place.step.name, place.wildcards)
        return len(settings) + sum(len(path) + _DIGEST_BYTES for path in paths)

    def _beside(self, place: Place, given: Mapping[str, int]) -> Size:
        suffix = Path(place.made.path).suffix
        if suffix == ".beton":
            name = place.wildcards["dataset"]
            size = self.data[name].bytes_of.get(place.wildcards["split"])
            return Size(0, frozenset([f"images of {name}"])) if size is None else Size(size)
        usual = self._page() if suffix == ".html" else _BESIDE.get(suffix, 0)
        return Size(given.get("bytes", usual))

    def _page(self) -> float:
        """Bytes of the page: the pictures that steps make for it, as text."""
        return sum(
            self._picture(capability, made, wildcards)
            for capability in self.run.capabilities
            for step in capability.steps
            if step.shown
            for wildcards in self.run.jobs_of(step.name)
            for made in _shown(step)
        )

    def _picture(self, capability: Capability, made: Beside, wildcards: Wildcards) -> float:
        """Bytes of a picture in the page."""
        given = capability.sizes(self.run, made, wildcards, self.known(wildcards))
        suffix = Path(made.path).suffix
        return given.get("bytes", _BESIDE[suffix]) * (_AS_TEXT if suffix == ".png" else 1)

    def known(self, wildcards: Wildcards) -> dict[str, int]:
        """The sizes that follow from data sets and studies, by dimension."""
        source, known = self.data[self.run.source], {"half": 2, "side": 2, "channel": 3}
        known |= {"source_class": source.classes, "source_image": source.train, "source_example": source.val}
        if name := wildcards.get("dataset"):
            known |= self.data[name].dimensions
        target = wildcards.get("target")
        if target in self.data:
            own = self.data[target]
            known |= {"example": own.val, "target_image": own.train, "target_class": own.classes}
        study = self.run.studies.get(wildcards.get("study", "influence"))
        if study:
            known["unit"] = self.units(study.masks.get("units", "classes"))
        if study and "study" in wildcards:
            known["model"] = self._models(wildcards)
        side = self._architecture(wildcards).resolution
        known |= {"y": side, "x": side, **self._cells(wildcards)}
        known["feature"] = self._network(wildcards).features
        return {dimension: size for dimension, size in known.items() if size is not None}

    def units(self, of: str | int) -> int | None:
        """What masks switch: classes, groups of them, or blocks of so many images."""
        source = self.data[self.run.source]
        if isinstance(of, int):
            return None if source.train is None else -(-source.train // of)
        return source.groups if of == "groups" else source.classes

    def _models(self, wildcards: Wildcards) -> int:
        """Rows of a shard, or of a whole study (of those that are transferred)."""
        study = self.run.studies[wildcards["study"]]
        if "shard" in wildcards:
            return len(study.rows_of(wildcards["shard"]))
        transfer = self.run.transfers.get(tuple(wildcards.get(k, "") for k in ("study", "target", "recipe")))
        return study.rows if transfer is None or transfer.rows is None else transfer.rows

    def _cells(self, wildcards: Wildcards) -> dict[str, int]:
        """Cells of class maps."""
        network = self._network(wildcards)
        if "target" not in wildcards or network.cells is None:
            return {}
        return dict(zip(("map_y", "map_x"), network.cells, strict=True))

    def _network(self, wildcards: Wildcards) -> "Network":
        return Network(self._architecture(wildcards))

    def _architecture(self, wildcards: Wildcards) -> NetworkSettings:
        """The network of a study's models, or of the run itself."""
        study = wildcards.get("study")
        own = study if study in self.run.studies else None
        return NetworkSettings.read(self.run.architecture_of(own))

    def _artefact(self, made: Artefact, given: Mapping[str, int], wildcards: Wildcards) -> Size:
        total, unknown = overhead(made), set()
        for declared in made.fields:
            missing = [dim for dim in declared.dims if dim not in given]
            if missing:
                unknown |= set() if declared.optional else set(missing)
                continue
            repeats = given.get("*", 1) if declared.name.startswith("*/") else 1
            total += repeats * self._field(declared, given, wildcards)
        for group in made.groups or {}:
            total += self._networks(group, given, wildcards)
        return Size(total, frozenset(unknown))

    def _field(self, declared: Field, given: Mapping[str, int], wildcards: Wildcards) -> float:
        """Bytes of an array."""
        cells = prod(given[dim] for dim in declared.dims)
        kind, item = _stored(declared.dtype)
        if kind == "S":
            item = self._longest_name(declared, wildcards)
        compressed = kind != "f" if declared.compress is None else declared.compress
        return cells * item * (_COMPRESSED[kind] if compressed and declared.dims else 1)

    def _longest_name(self, declared: Field, wildcards: Wildcards) -> int:
        """Bytes of a name: as many as the longest has, where names are known."""
        data = self.data.get(wildcards.get("dataset") or wildcards.get("target", ""))
        if data and declared.name in ("example", "train_example", "val_example"):
            return data.longest_id or _NAME_BYTES
        return _NAME_BYTES

    def _networks(self, group: str, given: Mapping[str, int], wildcards: Wildcards) -> float:
        """Bytes of stacked states; `given` tells how many a group holds."""
        network = self._network(wildcards)
        classes = given.get("target_class" if "target" in wildcards else "source_class")
        if not given.get(group) or classes is None:
            return 0.0
        each, tensors = network.head(classes) if group == "head" else network.state(classes)
        return given[group] * (each + tensors * _CHUNK_BYTES)


def _shown(step: Step) -> list[Beside]:
    """The pictures of a step that the page takes: drawings, and those of which there is no drawing."""
    files = [made for made in step.outputs.values() if isinstance(made, Beside)]
    drawn = {str(Path(made.path).with_suffix("")) for made in files if made.path.endswith(".svg")}
    return [
        made
        for made in files
        if made.path.endswith(".svg")
        or (made.path.endswith(".png") and str(Path(made.path).with_suffix("")) not in drawn)
    ]


def _stored(dtype: Any) -> tuple[str, int]:
    """The kind of a field's type, and the bytes of an item."""
    if dtype is str:
        return "S", _NAME_BYTES
    if dtype is np.unsignedinteger:
        return "u", _CLASS_BYTES
    return np.dtype(dtype).kind, np.dtype(dtype).itemsize


@cache
def overhead(made: Artefact) -> float:
    """What HDF5 needs beside the values: bytes of a file of this kind in which every dimension has size 1."""
    with provenance.nothing(), tempfile.TemporaryDirectory() as folder:
        path, values = Path(folder) / "one.h5", 0
        with artefacts.create(path, made) as out:
            for declared in made.fields:
                name = declared.name.replace("*", "group")
                if declared.optional:
                    continue
                one = np.ones([1] * len(declared.dims))
                out.write(name, one.astype(str) if declared.dtype is str else one)
                values += out.file[name].nbytes
        return path.stat().st_size - values


class Network:
    """What an architecture takes, without its weights.

    Args:
        settings: of the architecture.
    """

    def __init__(self, settings: NetworkSettings):
        from transferlens.models import contract

        self._found = contract.find(settings)

    def state(self, classes: int) -> tuple[float, int]:
        """Bytes and number of the tensors of its state, with a head for so many classes."""
        head, tensors = self.head(classes)
        stored = self._found.stored
        return head + sum(count * size for count, size in stored), tensors + len(stored)

    def head(self, classes: int) -> tuple[float, int]:
        """The same of its head alone."""
        return classes * (self.features + 1) * _FULL_PRECISION, 2

    @property
    def features(self) -> int:
        """How many numbers its head sees of an image."""
        return self._found.features

    @property
    def cells(self) -> tuple[int, int] | None:
        """Height and width of its class maps, where they add up to logits."""
        return self._found.cells if self._found.parts.pools else None
