"""How often full-source models put target images into each source class: a cheap surrogate of influence.

After Zhang et al., "Selectivity Drives Productivity" (NeurIPS 2023), who prune source classes by it. It
needs no model beyond those of the reference study, and stands as a rival that influences must beat.
"""

from pathlib import Path

import numpy as np
import torch

from transferlens.core import artefacts
from transferlens.core.settings import ArchitectureSettings
from transferlens.core.studies import FULL
from transferlens.counterfactual.artefacts import LABEL_MAPPING
from transferlens.data.pipeline import Images
from transferlens.training import engine, networks
from transferlens.training.artefacts import SOURCE_MODELS


def write_label_mapping(
    path: Path, source_paths: list[Path], train: Images, architecture: ArchitectureSettings
) -> None:
    """Count the source classes that every full-source model predicts for the target's training images.

    Args:
        source_paths: shards of the reference study's source models.
    """
    study = networks.study_rows(source_paths)
    full, counts = study.numbers[study.of_role(FULL)], []
    with artefacts.open(source_paths[0], SOURCE_MODELS) as file:
        names = artefacts.names(file["source_class"])
    with artefacts.create(path, LABEL_MAPPING) as out:
        for network in networks.source_networks(source_paths, architecture, train.device, full):
            predicted = engine.evaluate(network, train).argmax(1)
            counts.append(torch.bincount(predicted, minlength=len(names)).cpu().numpy())
        out.write("model", full)
        out.write("source_class", names)
        out.write("count", np.array(counts))
