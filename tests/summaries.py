"""Summaries with planted outputs, as the workflow stores them."""

from pathlib import Path

import numpy as np

from transferlens.core import artefacts, studies
from transferlens.core.studies import SUBSET, Rows
from transferlens.data.artefacts import write_examples
from transferlens.training.artefacts import SUMMARY


def subset_rows(masks, unit_names, unit_groups) -> Rows:
    """Rows of a study of random subsets."""
    count = len(masks)
    return Rows(
        np.asarray(masks, bool),
        np.arange(count),
        np.arange(count),
        [SUBSET] * count,
        np.full(count, -1),
        [""] * count,
        np.zeros(count, np.int64),
        unit_names,
        unit_groups,
    )


def write_summary(path: Path, rows: Rows, labels, halves, class_names, accuracy=None, **outputs) -> Path:
    """A summary; outputs [models, examples] that are not given are zero, those it does not store are added.

    Args:
        labels, halves: int[examples].
        accuracy: float[models, halves].
    """
    models, examples, classes = len(rows), len(labels), len(class_names)
    kept = {name: np.zeros((models, examples)) for name in ("margin", "raw_margin")}
    kept["prediction"] = np.zeros((models, examples), np.uint8)
    with artefacts.create(path, SUMMARY) as out:
        studies.write_rows(out, rows)
        ids = [f"x/{i}" for i in range(examples)]
        write_examples(out, ids, np.asarray(labels), np.asarray(halves), class_names)
        out.write("source_accuracy", np.zeros(models))
        out.write("train_images", np.zeros(models))
        out.write("accuracy", np.zeros((models, 2)) if accuracy is None else accuracy)
        out.write("class_accuracy", np.zeros((models, 2, classes)))
        out.attribute("metric", "global")
        for name, values in kept.items():
            out.write(name, outputs.pop(name, values))
        for name, values in outputs.items():
            out.file[name] = values
    return path
