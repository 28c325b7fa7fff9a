"""The artefact of retention, binding and coupling: what source images say of fine-tuned models."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import store
from transferlens.memories.kept import binding, retention
from transferlens.memories.kept.binding import Binding
from transferlens.memories.kept.retention import Recall, Retention

KIND = "memory probes"
_CELL = ["halves", "source classes", "target classes"]
_MEANINGS = {
    "accuracy_before": "accuracy of the source head on the source model's backbone",
    "accuracy_after": "accuracy of the source head on the fine-tuned backbone",
    "rank_after": "mean rank of the true class there, 1 the highest",
    "p_true_after": "mean calibrated probability of the true class there",
}


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
        np.array([found.temperature for found in recalls]),
        stacked["coupling"],
        overlap,
    )


def write_probes(path: Path, found: Probes, note: str, *, config: dict, inputs: list, device: str) -> None:
    """Store probes; `note` says what must be known to read them ('' for nothing)."""
    classes, cell = ["source classes"], _CELL
    with store.create(path, KIND, config=config, seed=config["seed"], inputs=inputs, device=device) as out:
        if note:
            out.attribute("note", note)
        out.strings("source_class_names", found.source_names, classes, "source class")
        out.strings("target_class_names", found.target_names, ["target classes"], "target class")
        for key, meaning in _MEANINGS.items():
            values = getattr(found.retention, key)
            out.array(f"retention/{key}", values, ["models", "halves", *classes], meaning)
        out.array("retention/n", found.retention.n, ["halves", *classes], "source evaluation images")
        retained = found.retention.retained
        for key, values in (("", retained.value), ("_low", retained.low), ("_high", retained.high)):
            meaning = f"accuracy after over accuracy before, report half{key.replace('_', ', 95 % ')}"
            out.array(f"retention/retained{key}", values, classes, meaning)
        out.array("temperature", found.temperature, ["models"], "divides the source head's logits")
        bound = found.binding
        for key in ("fine_tuned", "scratch"):
            meaning = f"mean probability of the target class on images of the source class, {key} models"
            out.array(f"binding/{key}", getattr(bound, key), ["models", *cell], meaning)
        for key, meaning in (
            ("effect", "fine-tuned minus scratch, minus its mean over source classes"),
            ("se", "standard error of the effect over models and images (bootstrap)"),
            ("low", "lower end of its 95 % interval"),
            ("high", "upper end of its 95 % interval"),
            ("p", "two-sided p-value from permuted source labels"),
            ("q", "its Benjamini-Hochberg q-value within the half; NaN where classes overlap"),
        ):
            out.array(f"binding/{key}", getattr(bound, key), cell, meaning)
        meaning = "cosine of the heads' centred weights"
        out.array("coupling", found.coupling, ["models", *classes, "target classes"], meaning)
        out.array("overlap", found.overlap, [*classes, "target classes"], "whether they mean the same")


def read_probes(path: Path) -> Probes:
    """Read what `write_probes` wrote."""
    with store.open(path, KIND) as file:
        return _read(file)


def _read(file: h5py.File) -> Probes:
    kept = {key: file[f"retention/{key}"][:] for key in (*_MEANINGS, "n")}
    interval = retention.Interval(*(file[f"retention/retained{key}"][:] for key in ("", "_low", "_high")))
    bound = {key: file[f"binding/{key}"][:] for key in Binding.__dataclass_fields__}
    return Probes(
        store.strings(file["source_class_names"]),
        store.strings(file["target_class_names"]),
        Retention(**kept, retained=interval),
        Binding(**bound),
        *(file[key][:] for key in ("temperature", "coupling", "overlap")),
    )
