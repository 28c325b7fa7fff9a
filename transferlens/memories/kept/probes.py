"""Retention, binding and coupling together, written and read: what source images say of adapted models."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.data.artefacts import HALVES
from transferlens.memories.artefacts import MODELS, PROBES
from transferlens.memories.kept import binding, retention
from transferlens.memories.kept.binding import Binding, padded
from transferlens.memories.kept.retention import Recall, Retained, Retention

_RECALLED = ("accuracy_before", "accuracy_after", "rank_after", "p_true_after")
# The name in the file of each part of a binding, and of what is retained.
_BINDING = {
    **{role: f"{role}_probability" for role in MODELS},
    "effect": "binding",
    **{part: f"binding_{part}" for part in ("se", "low", "high", "p", "q", "chosen")},
}
_RETAINED = {"value": "retained", **{part: f"retained_{part}" for part in ("se", "low", "high")}}


@dataclass(frozen=True)
class Observation:
    """What one pair of models says of the source's evaluation images of its half.

    Attributes:
        recall: through the source head.
        fine_tuned, scratch: float32[images, target classes], probabilities by the target heads.
        coupling: float64[source classes, target classes], of the heads' weights.
        temperature: that calibrates the source head on the fine-tuned backbone.
    """

    recall: Recall
    fine_tuned: np.ndarray
    scratch: np.ndarray
    coupling: np.ndarray
    temperature: float


@dataclass(frozen=True)
class Probes:
    """Attributes:
    source_names, target_names: class names.
    repeats: int64[halves, models], of the pairs in the reference study; -1 where a half has fewer. Likewise
        NaN:
    temperature: float64[models, halves].
    coupling: float64[models, halves, source classes, target classes].
    overlap: bool[source classes, target classes], pairs that mean the same.
    """

    source_names: list[str]
    target_names: list[str]
    repeats: np.ndarray
    retention: Retention
    binding: Binding
    temperature: np.ndarray
    coupling: np.ndarray
    overlap: np.ndarray

    @property
    def bound_class(self) -> np.ndarray:
        """The target class int64[source classes] each source class is bound to most, by the select half."""
        return binding.bound_class(self.binding.effect, self.overlap)

    def temperatures(self, half: str) -> np.ndarray:
        """Those of a half's pairs, float64[its models]."""
        known = self.repeats[HALVES.index(half)] >= 0
        return self.temperature[known, HALVES.index(half)]


def numbered(repeats: Mapping[str, range]) -> np.ndarray:
    """The repeats of each half's pairs, int64[halves, models]; -1 where one has fewer than the other."""
    numbers = np.full((len(HALVES), max(map(len, repeats.values()))), -1)
    for row, half in zip(numbers, HALVES, strict=True):
        row[: len(repeats[half])] = repeats[half]
    return numbers


def summarise(
    observations: Mapping[str, Sequence[Observation]],
    repeats: Mapping[str, range],
    source_names: list[str],
    target_names: list[str],
    labels: Mapping[str, np.ndarray],
    overlap: np.ndarray,
) -> Probes:
    """What each half's pairs of models say together of its images, with labels int64[images]."""

    def stacked(name: str, half: str) -> np.ndarray:
        """[the half's models, ...]; without any, empty but of the right shape."""
        of_images = (len(labels[half]), len(target_names))
        shape = {"coupling": overlap.shape, "temperature": ()}.get(name, of_images)
        return np.reshape([getattr(o, name) for o in observations[half]], (len(observations[half]), *shape))

    fine_tuned, scratch = ({half: stacked(role, half) for half in HALVES} for role in MODELS)
    return Probes(
        source_names,
        target_names,
        numbered(repeats),
        retention.summarise(
            {half: [o.recall for o in of] for half, of in observations.items()}, labels, len(overlap)
        ),
        binding.bind(fine_tuned, scratch, labels, overlap),
        padded([stacked("temperature", half) for half in HALVES]),
        padded([stacked("coupling", half) for half in HALVES]),
        overlap,
    )


def write_probes(path: Path, probes: Probes, note: str) -> None:
    """Store probes; `note` says what must be known to read them ('' for nothing)."""
    kept = probes.retention
    with artefacts.create(path, PROBES) as out:
        for name, text in (("note", note), ("untested", probes.binding.untested)):
            if text:
                out.attribute(name, text)
        out.write("source_class", probes.source_names)
        out.write("target_class", probes.target_names)
        out.write("half", HALVES)
        out.write("repeat", probes.repeats)
        for name in _RECALLED:
            out.write(name, getattr(kept, name))
        out.write("images", kept.n)
        for part, name in _RETAINED.items():
            out.write(name, getattr(kept.retained, part))
        for part, name in _BINDING.items():
            out.write(name, getattr(probes.binding, part))
        for name in ("temperature", "coupling", "overlap"):
            out.write(name, getattr(probes, name))


def read_probes(path: Path) -> Probes:
    """Read what `write_probes` wrote."""
    with artefacts.open(path, PROBES) as file:
        return _read(file)


def _read(file: h5py.File) -> Probes:
    return Probes(
        artefacts.names(file["source_class"]),
        artefacts.names(file["target_class"]),
        file["repeat"][:],
        Retention(
            **{name: file[name][:] for name in _RECALLED},
            n=file["images"][:],
            retained=Retained(**{part: file[name][:] for part, name in _RETAINED.items()}),
        ),
        Binding(
            **{part: file[name][:] for part, name in _BINDING.items()},
            untested=file.attrs.get("untested", ""),
        ),
        *(file[name][:] for name in ("temperature", "coupling", "overlap")),
    )
