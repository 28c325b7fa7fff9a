"""Seen and unseen on natural images: what models with and without an image's memory make of it."""

from pathlib import Path

import numpy as np

from transferlens.core import artefacts, studies
from transferlens.core.studies import SCRATCH
from transferlens.data.artefacts import positions
from transferlens.memories.images.artefacts import RANKING
from transferlens.memories.retraining.retrained import LeftOut
from transferlens.memories.seen.artefacts import OF_NATURAL_IMAGES
from transferlens.memories.seen.estimate import Contrast, Measured, contrast, place_among, stack
from transferlens.training import outputs
from transferlens.training.artefacts import SUMMARY


def examples_of(ranking: Path, classes: np.ndarray, source_names: list[str]) -> tuple[np.ndarray, np.ndarray]:
    """The ranked target images whose memory was left out: positions in the val split, and places int64[n] of
    their memories among the classes int64[left out].
    """
    with artefacts.open(ranking, RANKING) as file:
        memory = positions(artefacts.names(file["memory"]), source_names)
        own = np.flatnonzero(np.isin(memory, classes))
        return file["position"][:][own], place_among(classes, memory[own])


def compare(
    without: Path, left_out: LeftOut, examples: np.ndarray, places: np.ndarray
) -> dict[str, Measured]:
    """Every measure of natural images, from the summary of the models without each class.

    Args:
        examples, places: what `examples_of` gives.
    """
    measured = {}
    with artefacts.open(without, SUMMARY) as file:
        for name in OF_NATURAL_IMAGES:
            values = outputs.Output(file, name)[:][:, examples].astype(np.float64)
            found = of_repeats(values, left_out.models, places)
            measured[name] = Measured(found, places, (np.arange(len(examples)),))
    return measured


def of_repeats(values: np.ndarray, models: np.ndarray, places: np.ndarray) -> Contrast:
    """The contrast of values float[rows, units] of a study whose rows without each class are known.

    Args:
        models: int64[left out, repeats].
        places: int64[units], the place of each unit's class among those left out.
    """
    always = np.ones((len(models), values.shape[1]), bool)
    return stack([contrast(values[rows], always, places) for rows in models.T])


def scratch(reference: Path, pairs: int, examples: np.ndarray, places: np.ndarray, classes: int) -> dict:
    """Mean answers float64[classes] by measure of the from-scratch models of the first pairs."""
    with artefacts.open(reference, SUMMARY) as file:
        rows = studies.read_rows(file).of_role(SCRATCH)[:pairs]
        values = {
            name: outputs.Output(file, name)[:][rows][:, examples].mean(0) for name in OF_NATURAL_IMAGES
        }
    counts = np.bincount(places, minlength=classes)
    known = np.where(counts > 0, counts, np.nan)
    return {name: np.bincount(places, v, minlength=classes) / known for name, v in values.items()}
