"""Target images pasted on images of every source class, the same for all models and recipes."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from transferlens.comparison.harm.artefacts import INTERFERENCE_ANSWERS
from transferlens.comparison.settings import CompositeSettings
from transferlens.core import artefacts
from transferlens.core.seeding import rng_for
from transferlens.data.classnames import same_names
from transferlens.data.composites import pairs_of, pasted_side, places
from transferlens.data.index import Index
from transferlens.data.pasting import Composed
from transferlens.models.network import Network
from transferlens.training import fitting, outputs

OBJECT, SCRAMBLED = CONTROLS = ("object", "scrambled")


@dataclass(frozen=True)
class Drawn:
    """One composite a row; all int64[composites].

    Attributes:
        source_class, target_class: of background and pasted image.
        background, overlay: positions in the evaluation splits of source and target.
        x, y, side: the pasted square in pixels of the network input.
    """

    source_class: np.ndarray
    target_class: np.ndarray
    background: np.ndarray
    overlay: np.ndarray
    x: np.ndarray
    y: np.ndarray
    side: np.ndarray

    def __len__(self) -> int:
        return len(self.source_class)


def too_small(resolution: int, given: CompositeSettings) -> str:
    """Why no composites are made at this resolution; '' if they are."""
    side = pasted_side(resolution, given.side)
    if side >= given.smallest_side:
        return ""
    return (
        f"at {resolution} px the pasted image has {side} px a side, fewer than "
        f"comparison.composites.smallest_side {given.smallest_side}: raise input.resolution or "
        "comparison.composites.side, or lower smallest_side"
    )


def draw(source: Index, target: Index, resolution: int, given: CompositeSettings, seed: int) -> Drawn:
    """Composites of the report halves, as many of each source class, at least one.

    Each image is used as rarely as possible. Images of a target class are not pasted on those of a source
    class of the same name: there no drop is expected.
    """
    side, each = pasted_side(resolution, given.side), max(1, given.number // len(source.class_names))
    same, parts = same_names(source.class_names, target.class_names), []
    behind, pasted = source.val.of_half("report"), target.val.of_half("report")
    for c in range(len(source.class_names)):
        rng = rng_for(seed, "harm", c)
        backgrounds = behind[source.val.labels[behind] == c]
        overlays = pasted[~same[c, target.val.labels[pasted]]]
        if len(backgrounds) and len(overlays):
            pairs = pairs_of(backgrounds, overlays, each, rng)
            parts.append(np.column_stack([pairs, places(len(pairs), resolution - side, "random", rng)]))
    background, overlay, x, y = np.concatenate(parts).T
    classes = source.val.labels[background], target.val.labels[overlay]
    return Drawn(*classes, background, overlay, x, y, np.full(len(x), side))


@torch.inference_mode()
def drops(network: Network, drawn: Drawn, made: Composed) -> np.ndarray:
    """What a model loses on the whole backgrounds beyond the scrambled ones: float32[composites].

    Args:
        made: with CONTROLS.
    """

    def p_true(control: str) -> np.ndarray:
        logits = fitting.evaluated(lambda rows: network(made.composite(rows, control)), len(drawn))
        return outputs.per_example(torch.from_numpy(logits), torch.from_numpy(drawn.target_class))["p_true"]

    return p_true(SCRAMBLED) - p_true(OBJECT)


def write(path: Path, drawn: Drawn, source: Index, target: Index, answers: dict[str, np.ndarray]) -> None:
    """Store what models answer to composites.

    Args:
        answers: `model`, `mask` and `drop`.
    """
    with artefacts.create(path, INTERFERENCE_ANSWERS) as out:
        out.attribute("skipped", "")
        for name, index in (("source", source), ("target", target)):
            out.write(f"{name}_class", np.array(index.class_names, object)[getattr(drawn, f"{name}_class")])
        out.write("background", np.array(source.val.ids, object)[drawn.background])
        out.write("overlay", np.array(target.val.ids, object)[drawn.overlay])
        for name, values in answers.items():
            out.write(name, values)


def write_none(path: Path, numbers: np.ndarray, reason: str) -> None:
    """Store that there are no composites for models of these row numbers int64[models], and why."""
    with artefacts.create(path, INTERFERENCE_ANSWERS) as out:
        out.attribute("skipped", reason)
        out.write("model", numbers)
        for name in ("source_class", "target_class", "background", "overlay"):
            out.write(name, np.zeros(0, object))
        out.write("mask", np.zeros((len(numbers), 0), bool))
        out.write("drop", np.zeros((len(numbers), 0), np.float32))
