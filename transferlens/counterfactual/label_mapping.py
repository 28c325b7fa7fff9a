"""How often full-source models put target images into each source class: a cheap surrogate of influence.

After Zhang et al., "Selectivity Drives Productivity" (NeurIPS 2023), who prune source classes by it. It
needs no model beyond those of the reference study, and stands as a rival that influences must beat.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import scipy  # its functions load at their first use

from transferlens.core import artefacts
from transferlens.core.studies import FULL
from transferlens.counterfactual.artefacts import LABEL_MAPPING
from transferlens.training import reading
from transferlens.training.artefacts import FEATURES


def write_label_mapping(path: Path, feature_paths: Sequence[Path]) -> None:
    """Count the source classes that every full-source model predicts for the target's training images.

    Many classes get no image at all; the mean probabilities tell these apart.

    Args:
        feature_paths: shards of the reference study's features of these images.
    """
    study = reading.feature_rows(feature_paths)
    full = study.numbers[study.of_role(FULL)]
    with artefacts.open(feature_paths[0], FEATURES) as file:
        names = artefacts.names(file["source_class"])
    counts, probabilities = [], []
    for model in reading.model_features(feature_paths, full):
        counts.append(np.bincount(model.logits.argmax(1), minlength=len(names)))
        probabilities.append(scipy.special.softmax(model.logits.astype(np.float64), axis=1).mean(0))
    with artefacts.create(path, LABEL_MAPPING) as out:
        out.write("model", full)
        out.write("source_class", names)
        out.write("count", np.array(counts))
        out.write("probability", np.array(probabilities))
