"""What models trained without a source class, and those that saw it, make of composites and of its images."""

from collections.abc import Callable, Iterator
from itertools import islice

import numpy as np
import torch

from transferlens.data.artefacts import HALVES
from transferlens.data.pipeline import Images
from transferlens.memories.artefacts import CONTROLS
from transferlens.memories.effect.composites import Table
from transferlens.memories.seen.artefacts import OF_COMPOSITES, OF_SOURCE_IMAGES
from transferlens.memories.seen.estimate import Contrast, Measured, contrast, place_among, stack
from transferlens.training import engine
from transferlens.training.networks import Adapted

_REPORT = HALVES.index("report")
_OBJECT = CONTROLS.index("object")


def composites_of(table: Table, classes: np.ndarray, bound_class: np.ndarray) -> np.ndarray:
    """Numbers int64[n] of the report half's composites whose backgrounds are of some source classes.

    Without those whose pasted image is of the class that the memory is bound to: no drop is expected there.

    Args:
        bound_class: int64[source classes].
    """
    chosen = (table.half == _REPORT) & np.isin(table.source_class, classes)
    return np.flatnonzero(chosen & (bound_class[table.source_class] != table.target_class))


def drops(answers: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """What one model loses on the object beyond each control: float32[composites] by measure.

    Args:
        answers: `p_true` and `margin` [composites, controls], as `observations.trial` gives them.
    """
    return {
        f"{name}{suffix}": answers[key][:, CONTROLS.index(control)] - answers[key][:, _OBJECT]
        for name, control in (("drop", "scrambled"), ("canvas", "canvas"))
        for suffix, key in (("", "p_true"), ("_margin", "margin"))
    }


def source_answers(model: Adapted, images: Images) -> tuple[np.ndarray, np.ndarray]:
    """Of the source's evaluation images: target probabilities float32[images, target classes], and whether
    the source's own head is right on the adapted backbone, bool[images].
    """
    features = engine.evaluate(model.network.backbone, images)
    with torch.inference_mode():
        probabilities = model.network.head(features).softmax(1)
        recognised = model.source.head(features).argmax(1).cpu().numpy() == images.examples.labels
    return probabilities.cpu().numpy(), recognised


def bound_probability(probabilities: np.ndarray, labels: np.ndarray, bound_class: np.ndarray) -> np.ndarray:
    """Probability of the target class that an image's class is bound to, minus its mean over source classes.

    Args:
        probabilities: float[images, target classes] of one model.
        labels: int64[images], source classes.
        bound_class: int64[source classes].

    Returns:
        float64[images].
    """
    means = np.stack([probabilities[labels == c].mean(0, dtype=np.float64) for c in np.unique(labels)])
    bound = bound_class[labels]
    return probabilities[np.arange(len(labels)), bound] - means.mean(0)[bound]


class Asked:
    """What every model is asked: composites with the classes left out behind, and images of these classes.

    Args:
        classes: int64[left out], source classes.
        bound_class: int64[source classes].
        source: the source's evaluation images.
        try_composites: what `observations.trial` made of `table`; None where there are no composites.
        table: composites with these classes behind.
    """

    def __init__(
        self,
        classes: np.ndarray,
        bound_class: np.ndarray,
        source: Images,
        table: Table,
        try_composites: Callable[..., dict[str, np.ndarray]] | None,
    ):
        self.classes, self.bound_class, self.source = classes, bound_class, source
        self.table, self.try_composites = table, try_composites
        self.report = np.flatnonzero(source.examples.halves == _REPORT)
        self.labels = source.examples.labels[self.report]
        self.own = np.flatnonzero(np.isin(self.labels, classes))

    def answers(self, model: Adapted) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """A model's answers by measure, float[units], and where they are usable, bool[units].

        A composite is usable where the model is right on the pasted image alone, an image always.
        """
        probabilities, recognised = (values[self.report] for values in source_answers(model, self.source))
        bound = bound_probability(probabilities, self.labels, self.bound_class)
        always = np.ones(len(self.own), bool)
        found = {"binding": (bound[self.own], always), "retention": (recognised[self.own], always)}
        if self.try_composites is not None:
            tried = self.try_composites(model.network)
            right = tried["alone_prediction"] == self.table.target_class
            found |= {name: (values, right) for name, values in drops(tried).items()}
        return found

    def units(self) -> dict[str, tuple[np.ndarray, tuple[np.ndarray, ...]]]:
        """Of every measure, the place int64[units] of a unit's class among the classes, and what units share:
        backgrounds and pasted images, or nothing.
        """
        images = place_among(self.classes, self.labels[self.own]), (np.arange(len(self.own)),)
        table = self.table
        made = place_among(self.classes, table.source_class), (table.background, table.overlay)
        return dict.fromkeys(OF_SOURCE_IMAGES, images) | dict.fromkeys(OF_COMPOSITES, made)


def of_repeats(models: Iterator[Adapted], asked: Asked) -> dict[str, Measured]:
    """Every measure, compared over all repeats; the answers of one repeat at a time lie in memory.

    Args:
        models: repeat by repeat, in each the model without each of the classes, in their order.
    """
    units = asked.units()
    parts: dict[str, list[Contrast]] = {}
    models = map(asked.answers, models)
    while repeat := list(islice(models, len(asked.classes))):
        for name in repeat[0]:
            answers, usable = (np.stack(values) for values in zip(*(a[name] for a in repeat), strict=True))
            parts.setdefault(name, []).append(contrast(answers, usable, units[name][0]))
    return {name: Measured(stack(contrasts), *units[name]) for name, contrasts in parts.items()}
