"""Scores of the source models of a shard: what each makes of the target's training images, one at a time."""

from collections.abc import Iterator, Sequence
from itertools import repeat
from pathlib import Path

import h5py
import numpy as np

from transferlens.core import artefacts, job, studies
from transferlens.core.studies import Rows
from transferlens.data.index import Index
from transferlens.data.units import unit_of_class
from transferlens.scores.candidate import Candidate
from transferlens.scores.measuring import find, measure
from transferlens.training import reading
from transferlens.training.artefacts import SOURCE_MODELS
from transferlens.training.reading import ModelFeatures
from transferlens.transferability.artefacts import SCORED


def part_names(names: Sequence[str]) -> list[tuple[str, int]]:
    """What is stored of scores: (name of the part, position of its score)."""
    return [
        (f"{name}:{part}" if part else name, i) for i, name in enumerate(names) for part in find(name).parts
    ]


def write_scores(
    path: Path,
    features: tuple[Path, Path | None],
    models: Path,
    target: Index,
    source: Index,
    names: Sequence[str],
) -> None:
    """Score the source models of a shard.

    Args:
        features: shards of what they make of the target's training images, and of the source's evaluation
            images; the latter is None where no score needs it.
        models: the shard of the source models themselves, for their size.
    """
    rows = reading.feature_rows([features[0]])
    candidates = _candidates(rows, features, target, source)
    scored = [
        measure(one, names) for one in job.progress(candidates, f"scores {path.stem}", "models", len(rows))
    ]
    with artefacts.create(path, SCORED) as out:
        studies.write_rows(out, rows)
        parts = part_names(names)
        out.write("score", list(names))
        out.write("part", [name for name, _ in parts])
        out.write("part_score", [score for _, score in parts])
        out.write("part_value", [[v for name in names for v in of[name].values] for of in scored])
        out.write("seconds", [[of[name].seconds for name in names] for of in scored])
        out.write("reason", [[of[name].reason for name in names] for of in scored])
        out.write("parameters", [_parameters(models)] * len(rows))


def _candidates(
    rows: Rows, features: tuple[Path, Path | None], target: Index, source: Index
) -> Iterator[Candidate]:
    """One candidate after the other; memory holds the features of one."""
    on_target, on_source = features
    labels, seen = _numbered(target.train.labels), unit_of_class(rows.unit_names, source)
    of_source = reading.model_features([on_source], rows.numbers) if on_source else repeat(None)
    for mask, made, beside in zip(
        rows.masks, reading.model_features([on_target], rows.numbers), of_source, strict=False
    ):
        yield candidate(made, labels, mask[seen], None if beside is None else (beside, source.val.labels))


def candidate(
    made: ModelFeatures,
    labels: np.ndarray,
    seen: np.ndarray,
    beside: tuple[ModelFeatures, np.ndarray] | None = None,
) -> Candidate:
    """What a source model makes of a target's training images.

    Of its head and of source images only the classes that it was trained on count; where it was trained on
    none, it has neither.

    Args:
        labels: int64[images], each of range(classes) among them.
        seen: bool[source classes], which the model was trained on.
        beside: what it makes of source images, and their labels.
    """
    logits = made.logits[:, seen].astype(np.float64) if seen.any() else None
    of_source = None
    if beside is not None and seen.any():
        of, own = beside
        kept = seen[own]
        of_source = of.features[kept].astype(np.float64), _numbered(own[kept])
    return Candidate(made.features.astype(np.float64), labels, int(labels.max()) + 1, logits, of_source)


def _numbered(labels: np.ndarray) -> np.ndarray:
    """Labels as positions among the classes that occur."""
    return np.unique(labels, return_inverse=True)[1]


def _parameters(models: Path) -> int:
    """Numbers in the state of one network of a shard of source models."""
    with artefacts.open(models, SOURCE_MODELS) as file:
        return state_size(file)


def state_size(file: h5py.File) -> int:
    """Weights and running statistics of one network of an open shard."""
    return int(sum(np.prod(stack.shape[1:]) for stack in file["weights"].values()))
