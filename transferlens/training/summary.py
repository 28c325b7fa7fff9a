"""Summary: all shards of a study, for one target and recipe, in one compressed file."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import artefacts, job, studies
from transferlens.core.errors import ArtefactError
from transferlens.core.studies import Rows
from transferlens.data.artefacts import EXAMPLE_FIELDS, read_examples
from transferlens.training import outputs
from transferlens.training.artefacts import OUTPUTS, SUMMARISED, SUMMARY, TRANSFER_RUNS

_PER_MODEL = ("source_accuracy", "train_images", "accuracy", "class_accuracy")
_PER_EXAMPLE = tuple(field.name for field in EXAMPLE_FIELDS)
_EXAMPLES_A_CHUNK = 512


def write_summary(path: Path, shard_paths: list[Path]) -> None:
    """Concatenate transfer shards along the model axis; memory holds one shard at a time.

    Raises:
        ArtefactError: shards that are not next to each other in one study, or not of the same examples and
            classes; or a NaN among the outputs.
    """
    rows = studies.joined([_read_rows(shard) for shard in shard_paths], shard_paths)
    with artefacts.create(path, SUMMARY) as out:
        studies.write_rows(out, rows)
        with artefacts.open(shard_paths[0], TRANSFER_RUNS) as first:
            for name in _PER_EXAMPLE:
                out.copy(first, name)
            out.attribute("metric", first.attrs["metric"])
            _reserve(out, first, len(rows))
        start = 0
        for shard_path in job.progress(shard_paths, "summary", "shards"):
            with artefacts.open(shard_path, TRANSFER_RUNS) as shard:
                start += _append(out, shard, start, shard_path)


def _read_rows(path: Path) -> Rows:
    with artefacts.open(path, TRANSFER_RUNS) as file:
        return studies.read_rows(file)


def _reserve(out: artefacts.Writer, first: h5py.File, models: int) -> None:
    for name in _PER_MODEL:
        out.reserve(name, (models, *first[name].shape[1:]))
    examples, classes = len(first["example"]), len(first["target_class"])
    # A shard's rows to a chunk: every chunk is then compressed once, when its shard is appended.
    chunk = (len(first["model"]), min(_EXAMPLES_A_CHUNK, examples))
    for name in SUMMARISED:
        stored = outputs.compact(name, np.empty(0, OUTPUTS[name][0]), classes).dtype
        out.reserve(name, (models, examples), stored, chunk)


def _append(out: artefacts.Writer, shard: h5py.File, start: int, path: Path) -> int:
    """Copy a shard's rows to `start` onwards; returns how many."""
    for name in _PER_EXAMPLE:
        if not np.array_equal(shard[name][:], out.file[name][:]):
            raise ArtefactError(
                f"{path}: other target examples or classes than in the first shard; delete it"
            )
    stop = start + len(shard["model"])
    for name in _PER_MODEL:
        out.file[name][start:stop] = shard[name][:]
    for name in SUMMARISED:
        values = shard[name][:]
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            model = shard["model"][int((~np.isfinite(values)).any(1).argmax())]
            kind = "NaN" if np.isnan(values).any() else "infinite"
            raise ArtefactError(
                f"{path}: output '{name}' of model {model} is {kind} (its training diverged); lower the "
                "learning rate and run again"
            )
        out.file[name][start:stop] = outputs.compact(name, values, len(shard["target_class"]))
    return stop - start


@dataclass(frozen=True)
class Summary:
    """What estimators need of a summary besides its outputs, which they read in blocks.

    Attributes:
        rows: the study's rows.
        example_labels, example_halves: int[examples].
        class_names: the target classes.
        accuracy: float64[models, halves].
        class_accuracy: float64[models, halves, target classes].
    """

    rows: Rows
    example_ids: list[str]
    example_labels: np.ndarray
    example_halves: np.ndarray
    class_names: list[str]
    accuracy: np.ndarray
    class_accuracy: np.ndarray
    source_accuracy: np.ndarray


def read_summary(file: h5py.File) -> Summary:
    """Read everything but the outputs of an open summary."""
    per_model = (file[name][:] for name in ("accuracy", "class_accuracy", "source_accuracy"))
    return Summary(studies.read_rows(file), *read_examples(file), *per_model)
