"""Retention, binding and coupling together, written and read: what source images say of adapted models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import artefacts
from transferlens.core.statistics import Interval
from transferlens.data.artefacts import HALVES
from transferlens.memories.artefacts import MODELS, PROBES
from transferlens.memories.kept import binding, retention
from transferlens.memories.kept.binding import Binding
from transferlens.memories.kept.retention import Recall, Retention

_RECALLED = ("accuracy_before", "accuracy_after", "rank_after", "p_true_after")
# The name in the file of each part of a binding, and of the interval of what is retained.
_BINDING = {
    **{role: f"{role}_probability" for role in MODELS},
    "effect": "binding",
    **{part: f"binding_{part}" for part in ("se", "low", "high", "p", "q")},
}
_RETAINED = {"value": "retained", "low": "retained_low", "high": "retained_high"}


@dataclass(frozen=True)
class Observation:
    """What one pair of models says of the source's evaluation images.

    Attributes:
        recall: through the source head.
        fine_tuned, scratch: float32[images, target classes], probabilities by the target heads.
        coupling: float64[source classes, target classes], of the heads' weights.
    """

    recall: Recall
    fine_tuned: np.ndarray
    scratch: np.ndarray
    coupling: np.ndarray


@dataclass(frozen=True)
class Probes:
    """Attributes:
    source_names, target_names: class names.
    temperature: float64[models].
    coupling: float64[models, source classes, target classes].
    overlap: bool[source classes, target classes], pairs that mean the same.
    """

    source_names: list[str]
    target_names: list[str]
    retention: Retention
    binding: Binding
    temperature: np.ndarray
    coupling: np.ndarray
    overlap: np.ndarray

    @property
    def bound_class(self) -> np.ndarray:
        """The target class int64[source classes] each source class is bound to most, by the select half."""
        return binding.bound_class(self.binding.effect, self.overlap)


def summarise(
    observations: Sequence[Observation],
    source_names: list[str],
    target_names: list[str],
    labels: np.ndarray,
    halves: np.ndarray,
    overlap: np.ndarray,
    bootstrap: int,
    permutations: int,
    seed: int,
) -> Probes:
    """What all pairs of models say together of images with these labels and halves int[images]."""
    stacked = {
        key: np.stack([getattr(o, key) for o in observations])
        for key in ("fine_tuned", "scratch", "coupling")
    }
    recalls = [o.recall for o in observations]
    return Probes(
        source_names,
        target_names,
        retention.summarise(recalls, labels, halves, bootstrap, seed),
        binding.bind(
            stacked["fine_tuned"], stacked["scratch"], labels, halves, overlap, bootstrap, permutations, seed
        ),
        np.array([of_pair.temperature for of_pair in recalls]),
        stacked["coupling"],
        overlap,
    )


def write_probes(path: Path, probes: Probes, note: str) -> None:
    """Store probes; `note` says what must be known to read them ('' for nothing)."""
    kept = probes.retention
    with artefacts.create(path, PROBES) as out:
        if note:
            out.attribute("note", note)
        out.write("source_class", probes.source_names)
        out.write("target_class", probes.target_names)
        out.write("half", HALVES)
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
        Retention(
            **{name: file[name][:] for name in _RECALLED},
            n=file["images"][:],
            retained=Interval(**{part: file[name][:] for part, name in _RETAINED.items()}),
        ),
        Binding(**{part: file[name][:] for part, name in _BINDING.items()}),
        *(file[name][:] for name in ("temperature", "coupling", "overlap")),
    )
