"""How often full-source models put target images into each source class: a cheap surrogate of influence.

After Zhang et al., "Selectivity Drives Productivity" (NeurIPS 2023), who prune source classes by it. It
needs no model beyond those of the reference study, and stands as a rival that influences must beat.
"""

from pathlib import Path

import numpy as np
import torch

from transferlens.core import store
from transferlens.core.settings import ArchitectureSettings
from transferlens.data.pipeline import Images
from transferlens.training import engine, networks, source

KIND = "label mapping"


def write_label_mapping(
    path: Path,
    source_paths: list[Path],
    train: Images,
    architecture: ArchitectureSettings,
    *,
    config: dict,
    inputs: list,
) -> None:
    """Count the source classes that every full-source model predicts for the target's training images."""
    study, counts = networks.study_rows(source_paths), []
    full = study.rows[study.masks.all(1)]
    with store.open(source_paths[0], source.KIND) as file:
        names = store.strings(file["source_class_names"])
    with store.create(path, KIND, config=config, inputs=inputs) as out:
        for network in networks.source_networks(source_paths, architecture, train.device, full):
            predicted = engine.evaluate(network, train).argmax(1)
            counts.append(torch.bincount(predicted, minlength=len(names)).cpu().numpy())
        out.strings("source_class_names", names, ["classes"], "source class")
        out.array(
            "counts", np.array(counts), ["models", "classes"], "target training images put into the class"
        )


def read_label_mapping(path: Path) -> np.ndarray:
    """Mean counts over models, float64[source classes]."""
    with store.open(path, KIND) as file:
        return file["counts"][:].mean(0)
