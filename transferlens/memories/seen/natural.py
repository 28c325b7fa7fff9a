"""Seen and unseen on natural images: what models with and without an image's memory make of it."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from scipy.special import softmax

from transferlens.core import artefacts, studies
from transferlens.core.studies import SCRATCH
from transferlens.data.artefacts import HALVES
from transferlens.data.pipeline import Images
from transferlens.memories.images import ranking
from transferlens.memories.kept.probes import Probes
from transferlens.memories.retraining.retrained import LeftOut
from transferlens.memories.seen.artefacts import OF_NATURAL_IMAGES
from transferlens.memories.seen.estimate import Measured, place_among
from transferlens.memories.seen.examples import of_repeats
from transferlens.training import engine, outputs
from transferlens.training.artefacts import SUMMARY
from transferlens.training.calibration import fit_temperature
from transferlens.training.networks import Adapted


def choose(
    models: Iterable[Adapted], probes: Probes, source: Images, target: Images, classes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The target's report-half images whose memory was left out, as other models than those compared see it.

    A memory is that of the ranking (`images.ranking`), from these models.

    Args:
        models: full-source models that share their seeds with none of those that are compared.
        classes: int64[left out], source classes.

    Returns:
        Their positions in the val split, and the places int64[n] of their memories among `classes`.
    """
    examples = ranking.report_half(target.examples)
    labels = target.examples.labels[examples]
    remembered = (_source_probabilities(model, source, target)[examples] for model in models)
    away = ranking.pull(probes.binding.effect[HALVES.index("select")], probes.overlap)
    memory = ranking.distraction(remembered, labels, away).memory
    own = np.flatnonzero(np.isin(memory, classes))
    return examples[own], place_among(classes, memory[own])


def _source_probabilities(model: Adapted, source: Images, target: Images) -> np.ndarray:
    """Calibrated probabilities float64[target images, source classes] of the source's own head."""

    @torch.inference_mode()
    def logits(images: Images) -> np.ndarray:
        return model.source.head(engine.evaluate(model.network.backbone, images)).cpu().numpy()

    select = source.examples.of_half("select")
    temperature = fit_temperature(logits(source)[select], source.examples.labels[select])
    return softmax(logits(target) / temperature, axis=1)


def compare(
    without: Path, left_out: LeftOut, examples: np.ndarray, places: np.ndarray
) -> dict[str, Measured]:
    """Every measure of natural images, from the summary of the models without each class.

    Args:
        examples, places: what `choose` gives.
    """
    measured = {}
    with artefacts.open(without, SUMMARY) as file:
        for name in OF_NATURAL_IMAGES:
            values = outputs.Output(file, name)[:][:, examples].astype(np.float64)
            found = of_repeats(values, left_out.models, places)
            measured[name] = Measured(found, places, (np.arange(len(examples)),))
    return measured


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
