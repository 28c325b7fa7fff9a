"""What from-scratch models of the pairs that report lose and say, class by class, beside seen and unseen."""

import numpy as np

from transferlens.data.artefacts import HALVES
from transferlens.memories.artefacts import CONTROLS
from transferlens.memories.effect.composites import Composites
from transferlens.memories.kept.probes import Probes
from transferlens.memories.seen.answers import composites_of

_REPORT = HALVES.index("report")


def of_composites(tried: Composites, classes: np.ndarray, bound_class: np.ndarray) -> dict[str, np.ndarray]:
    """Mean drops float64[classes] beyond either control, over the composites whose pasted image a model is
    right on alone; of the composites that models with and without the class are shown.
    """
    answers, table = tried.responses["scratch"], tried.table
    rows = composites_of(table, classes, bound_class)
    right = answers.alone_prediction[:, rows] == table.target_class[rows]
    found = {}
    for output, suffix in (("p_true", ""), ("margin", "_margin")):
        values = getattr(answers, output)[:, rows].astype(np.float64)
        on_object = values[..., CONTROLS.index("object")]
        for name, control in (("drop", "scrambled"), ("canvas", "canvas")):
            drop = np.where(right, values[..., CONTROLS.index(control)] - on_object, np.nan)
            of_classes = [_mean(drop[:, table.source_class[rows] == c]) for c in classes]
            found[f"{name}{suffix}"] = np.array(of_classes)
    return found


def _mean(values: np.ndarray) -> float:
    """Of what is known; NaN where nothing is."""
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan


def of_binding(probes: Probes, classes: np.ndarray) -> np.ndarray:
    """Probability of the class that each of some source classes is bound to, minus its mean over source
    classes, float64[classes].
    """
    probability = np.nanmean(probes.binding.scratch, axis=0)[_REPORT]
    bound = probes.bound_class[classes]
    return probability[classes, bound] - probability.mean(0)[bound]
