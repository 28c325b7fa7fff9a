"""The maps that are shown: of source classes that some models chose, as the other models see them.

The most helpful class of many looks more helpful than it is to the models that chose it, in every cell. So
the first fold of draws chooses (on the select half of the images), and the second one makes the maps (on the
report half).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import artefacts
from transferlens.data.artefacts import HALVES
from transferlens.estimation import crossfit, estimators
from transferlens.estimation.estimators import Estimator
from transferlens.influence_maps.artefacts import CHOICES
from transferlens.influence_maps.probed import Probed, cell_effects
from transferlens.training import kept_maps

# The folds of draws that choose, and that show.
_CHOOSING, _SHOWING = range(crossfit.FOLDS)


@dataclass(frozen=True)
class Chosen:
    """The most helpful and the most harmful unit of some target classes, and why: [CHOICES, classes] each.

    Attributes:
        units: int64.
        effects: float, influence in the models that chose it, on the select half.
    """

    units: np.ndarray
    effects: np.ndarray


def choose(influence_path: Path, output: str, classes: np.ndarray) -> Chosen | str:
    """By the choosing models, for target classes int64[n]; where there are too few models for folds, why."""
    with artefacts.open(influence_path, "influence") as file:
        if f"{output}/class_effect_by_fold" not in file:
            return str(file.attrs["folds_missing"])
        effect = file[f"{output}/class_effect_by_fold"][_CHOOSING, HALVES.index("select")][classes]
    units = np.stack([effect.argmax(1), effect.argmin(1)])
    return Chosen(units, np.take_along_axis(effect, units.T, axis=1).T)


def write_shown(
    out: artefacts.Writer,
    shards: list[Path],
    masks: np.ndarray,
    logits: np.ndarray,
    bias: np.ndarray,
    labels: np.ndarray,
    chosen: Chosen,
    estimator: str,
) -> None:
    """Influence of the chosen units on the mean map of each class, and on the map of its first example.

    Args:
        masks: bool[models, units].
        logits, bias: float[models, examples], of the true class.
        labels: int64[examples], ascending.
        chosen: of all target classes that have probe examples.
        estimator: the reported one; folds are divided as influences were.
    """
    folds = crossfit.divide(masks, estimator)
    rows = np.flatnonzero(folds.of_model == _SHOWING)
    fitted = estimators.make(folds.estimator, masks[rows], logits[rows])
    parts: dict[str, list[np.ndarray]] = {}
    for block, units in zip(_of_classes(labels), chosen.units.T, strict=True):
        maps = kept_maps.read(shards, "probe_map", block)[rows]
        probed = Probed(maps, bias[rows][:, block], labels[block])
        for prefix, part in (("class", probed.by_class()), ("example", probed.first())):
            for name, values in _effects(fitted, part, units).items():
                parts.setdefault(f"shown_{prefix}_{name}", []).append(values)
    for name, values in parts.items():
        out.write(name, np.stack(values, axis=1))
    out.write("choice", CHOICES)
    out.write("choosing_effect", chosen.effects)
    out.attribute("showing_models", len(rows))


def _of_classes(labels: np.ndarray) -> Iterator[slice]:
    """The probe examples of each class that has any."""
    for start, count in zip(*np.unique(labels, return_index=True, return_counts=True)[1:], strict=True):
        yield slice(int(start), int(start + count))


def _effects(fitted: Estimator, probed: Probed, units: np.ndarray) -> dict[str, np.ndarray]:
    """Effects of some units on one map: its cells float[units, h, w], its logit and bias float[units]."""
    outputs = {
        "map": probed.logit_maps,
        "logit": probed.logit_maps.mean((2, 3), keepdims=True),
        "bias": probed.bias[..., None, None],
    }
    found = {}
    for name, values in outputs.items():
        effects = cell_effects(fitted, values)
        for part, suffix in ((effects.effect, ""), (effects.se, "_se")):
            of_units = part[:, units].T
            found[name + suffix] = of_units.reshape(len(units), *values.shape[2:] if name == "map" else ())
    return found
