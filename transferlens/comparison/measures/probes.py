"""Concept forgetting: what a fresh linear probe still tells apart, before and after models are adapted.

Forgetting on a data set is the change of the probe's accuracy (Mukhoti et al. 2023, LDIFS): negative where
the adapted features tell its classes apart less well. A probe is a multinomial logistic regression on frozen
features of the evaluation crop (`training.recipes.probing`), with the strength of its regularisation chosen
on a held-out part of the same training images, among the same strengths before and after. Images are chosen
once, the same for all models. The probe is tried on images of the report half alone, of the source as of any
other data set.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import artefacts, job
from transferlens.core.artefacts import Artefact
from transferlens.core.errors import DataError
from transferlens.core.seeding import rng_for
from transferlens.data.artefacts import HALVES
from transferlens.data.index import Index
from transferlens.data.pipeline import Images
from transferlens.data.selection import at_most
from transferlens.models.network import Network
from transferlens.training import engine
from transferlens.training.recipes import probing

STRENGTHS = np.logspace(-7, 2, 10)  # C, as those of `lp_ft`
HELD_OUT = 0.2  # of every class's training images, to choose among these


@dataclass(frozen=True)
class Probe:
    """The images of a data set that probes are fitted with, and those that they are tried on.

    Attributes:
        train, val: all images of the splits.
        fitted, tried: int64[n], positions in these, ascending.
        held: bool[fitted], those that choose the strength of regularisation.
        classes: names of the classes.
    """

    train: Images
    val: Images
    fitted: np.ndarray
    tried: np.ndarray
    held: np.ndarray
    classes: list[str]

    @classmethod
    def of(cls, dataset: Index, train: Images, val: Images, images: int, seed: int) -> "Probe":
        """With at most so many images of a class for either, drawn by the seed alone.

        Raises:
            DataError: fewer than two classes, or none of which an image can be held out.
        """
        report = dataset.val.of_half("report")
        fitted = at_most(dataset.train.labels, images, rng_for(seed, "probe", "train"))
        tried = report[at_most(dataset.val.labels[report], images, rng_for(seed, "probe", HALVES[1]))]
        labels = dataset.train.labels[fitted]
        _require_enough(labels)
        held = probing.held_out(labels, HELD_OUT, rng_for(seed, "probe", "held out"))
        return cls(train, val, fitted, tried, held, dataset.class_names)

    @property
    def labels(self) -> np.ndarray:
        """True classes int64[tried]."""
        return self.val.examples.labels[self.tried]

    def correct(self, network: Network) -> np.ndarray:
        """Whether a probe fitted on a network's features is right: bool[tried]."""
        features, tried = (
            engine.evaluate_some(network.backbone, images, positions).cpu().double().numpy()
            for images, positions in ((self.train, self.fitted), (self.val, self.tried))
        )
        labels = self.train.examples.labels[self.fitted]
        weight, bias = probing.probe(features, labels, self.held, STRENGTHS, len(self.classes))
        return (tried @ weight.T + bias).argmax(1) == self.labels


def _require_enough(labels: np.ndarray) -> None:
    """Refuse training images with labels int64[n] that no probe can be fitted with and chosen by."""
    counts = np.unique(labels, return_counts=True)[1]
    if len(counts) < 2 or counts.max() < 2:
        raise DataError(
            f"a linear probe wants two classes, and two training images of one of them; found "
            f"{len(counts)} classes and at most {counts.max(initial=0)} images of one; raise train_per_class "
            "of the data set, or take it out of comparison.others"
        )


def write_probes(
    path: Path, artefact: Artefact, models: Iterable[Network], rows: Sequence[int], probe: Probe
) -> None:
    """Probe networks of a study's rows, one after the other, and store which images are told right."""
    examples = probe.val.examples
    with artefacts.create(path, artefact) as out:
        out.write("model", rows)
        out.write("example", [examples.ids[i] for i in probe.tried])
        out.write("example_class", [probe.classes[label] for label in probe.labels])
        out.attribute("train_images", len(probe.fitted))
        out.reserve("correct", (len(rows), len(probe.tried)))
        for i, network in enumerate(job.progress(models, f"probe {path.stem}", "models", len(rows))):
            out.file["correct"][i] = probe.correct(network)
