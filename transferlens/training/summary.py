"""Summary: all shards of a study, for one target and recipe, in one compressed file."""

from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import job, store, studies
from transferlens.core.errors import ArtefactError
from transferlens.core.studies import Rows
from transferlens.training import outputs

KIND = "summary"
_PER_MODEL = {
    "source_accuracy": ["models"],
    "train_images": ["models"],
    "accuracy": ["models", "halves"],
    "class_accuracy": ["models", "halves", "target classes"],
}
_PER_EXAMPLE = ("example_ids", "example_labels", "example_halves", "target_class_names")
_EXAMPLES_A_CHUNK = 512


def write_summary(path: Path, shard_paths: list[Path], *, config: dict) -> None:
    """Concatenate transfer shards along the model axis; memory holds one shard at a time.

    Raises:
        ArtefactError: shards that are not of the same examples and classes, or a NaN among the outputs.
    """
    rows = [_read_rows(p) for p in shard_paths]
    all_rows = concatenate(rows)
    with store.create(path, KIND, config=config, inputs=shard_paths) as out:
        studies.write_row_table(out, all_rows)
        with store.open(shard_paths[0], outputs.KIND) as first:
            _copy_examples(out, first)
            out.attribute("metric", first.attrs["metric"])
            _reserve(out, first, len(all_rows))
        start = 0
        for shard_path in job.progress(shard_paths, "summary", "shards"):
            with store.open(shard_path, outputs.KIND) as shard:
                start += _append(out, shard, start, shard_path)


def _read_rows(path: Path) -> Rows:
    with store.open(path, outputs.KIND) as file:
        return studies.read_row_table(file)


def concatenate(rows: list[Rows]) -> Rows:
    """The rows of several shards, one after the other."""
    return Rows(
        np.concatenate([r.masks for r in rows]),
        np.concatenate([r.rows for r in rows]),
        np.concatenate([r.training_seeds for r in rows]),
        [label for r in rows for label in r.labels],
        rows[0].unit_names,
        rows[0].unit_groups,
    )


def _copy_examples(out: store.Writer, first: h5py.File) -> None:
    for name in _PER_EXAMPLE:
        first.copy(name, out.file)


def _reserve(out: store.Writer, first: h5py.File, models: int) -> None:
    for name, dims in _PER_MODEL.items():
        like = first[name]
        out.empty(name, (models, *like.shape[1:]), like.dtype, dims, like.attrs["meaning"])
    examples = len(first["example_labels"])
    # A shard's rows to a chunk: every chunk is then compressed once, when its shard is appended.
    chunk = (len(first["rows"]), min(_EXAMPLES_A_CHUNK, examples))
    classes = len(first["target_class_names"])
    for name in outputs.SUMMARISED:
        dtype, meaning = outputs.OUTPUTS[name]
        out.empty(
            f"outputs/{name}",
            (models, examples),
            outputs.compact(name, np.empty(0, dtype), classes).dtype,
            ["models", "examples"],
            meaning,
            outputs.UNITS.get(name),
            chunks=chunk,
        )


def _append(out: store.Writer, shard: h5py.File, start: int, path: Path) -> int:
    """Copy a shard's rows to `start` onwards; returns how many."""
    for name in (*_PER_EXAMPLE, "unit_names", "unit_groups"):
        if not np.array_equal(shard[name][:], out.file[name][:]):
            raise ArtefactError(
                f"{path}: other target examples or classes than in the first shard; delete it"
            )
    stop = start + len(shard["rows"])
    for name in _PER_MODEL:
        out.file[name][start:stop] = shard[name][:]
    for name in outputs.SUMMARISED:
        values = shard[f"outputs/{name}"][:]
        if values.dtype.kind == "f" and not np.isfinite(values).all():
            model = shard["rows"][int((~np.isfinite(values)).any(1).argmax())]
            kind = "NaN" if np.isnan(values).any() else "infinite"
            raise ArtefactError(
                f"{path}: output '{name}' of model {model} is {kind} (its training diverged); lower the "
                "learning rate and run again"
            )
        out.file[f"outputs/{name}"][start:stop] = outputs.compact(
            name, values, len(shard["target_class_names"])
        )
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
    return Summary(
        studies.read_row_table(file),
        store.strings(file["example_ids"]),
        file["example_labels"][:],
        file["example_halves"][:],
        store.strings(file["target_class_names"]),
        file["accuracy"][:],
        file["class_accuracy"][:],
        file["source_accuracy"][:],
    )
