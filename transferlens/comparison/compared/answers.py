"""What is known of everything that is compared on a target: answers, probes, measures, cost, by model."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from transferlens.comparison.measures.artefacts import COST, MEASURES, PROBES_AFTER, SOURCE_PROBES
from transferlens.core import labelled
from transferlens.core.artefacts import Artefact
from transferlens.core.errors import ArtefactError
from transferlens.data.artefacts import HALVES
from transferlens.training.reading import image_weights, read_outputs

if TYPE_CHECKING:
    import xarray as xr


@dataclass(frozen=True, eq=False)
class Contestant:
    """A recipe and the models that report, adapted by it.

    Attributes:
        correct: float64[models, images] of each half of the target's evaluation images.
        accuracy: float64[models] of each half, by the target's metric.
        measures: as of the artefact, of the same models and the report half's images.
        forgetting: float64[models, images] by data set, whether a linear probe is right after minus before;
            none from scratch.
        cost: as of the artefact; None from scratch.
    """

    name: str
    base: str
    from_scratch: bool
    correct: Mapping[str, np.ndarray]
    accuracy: Mapping[str, np.ndarray]
    measures: "xr.Dataset"
    forgetting: Mapping[str, np.ndarray] = field(default_factory=dict)
    cost: "xr.Dataset | None" = None


@dataclass(frozen=True)
class Compared:
    """All that is compared on a target.

    Attributes:
        contestants: the plain recipe first; models from scratch, if any, last.
        labels: int64[images], positions in `classes`, of each half.
        metric: what accuracy is.
        source: data set that the source models were trained on: the first of those that are probed.
    """

    contestants: Sequence[Contestant]
    labels: Mapping[str, np.ndarray]
    classes: Sequence[str]
    metric: str
    source: str

    @property
    def plain(self) -> Contestant:
        """The recipe that others are compared with."""
        return self.contestants[0]

    @property
    def scratch(self) -> Contestant | None:
        """Models from scratch, adapted by the plain recipe."""
        return next((one for one in self.contestants if one.from_scratch), None)

    def weights(self, half: str) -> np.ndarray:
        """What each image counts in an accuracy, float64[images]."""
        return image_weights(self.labels[half], self.metric)

    def worst_class(self) -> int | None:
        """The class that models from scratch are worst at on the select half, of those that both halves have;
        None without such models or classes."""
        both = [c for c in range(len(self.classes)) if all((self.labels[half] == c).any() for half in HALVES)]
        if self.scratch is None or not both:
            return None
        right, labels = self.scratch.correct["select"], self.labels["select"]
        return min(both, key=lambda c: right[:, labels == c].mean())


def read(files: Mapping[str, Sequence[Path]], settings: Mapping[str, Any]) -> Compared:
    """Everything that is compared on a target.

    Args:
        files: `summaries` and `measures` of the contestants, `costs` of those that saw the source, `before`
            of the data sets that are probed, `after` of each of the same contestants on each of these.
        settings: of the step that compares.

    Raises:
        ArtefactError: a file that lacks a model, or is of other images than the one beside it.
    """
    told, probed = settings["contestants"], settings["probed"]
    costs, after = iter(files["costs"]), iter(files["after"])
    contestants = []
    for one, summary, measures in zip(told, files["summaries"], files["measures"], strict=True):
        rows = settings["rows"]["scratch" if one["from_scratch"] else "source"]
        made = _of_models(read_outputs(summary, ["correct"]), rows, summary)
        halves = {half: made.example_half.values == half for half in HALVES}
        kept: dict[str, Any] = {}
        if not one["from_scratch"]:
            before = zip(probed, files["before"], strict=True)
            kept["forgetting"] = {name: _change(path, next(after), rows) for name, path in before}
            kept["cost"] = labelled.read(next(costs), COST)
        contestants.append(
            Contestant(
                **one,
                correct={h: made.correct.values[:, inside].astype(float) for h, inside in halves.items()},
                accuracy={half: made.accuracy.sel(half=half).values for half in HALVES},
                measures=_same_images(measures, rows, made.example.values[halves["report"]]),
                **kept,
            )
        )
    classes = made.target_class.values.tolist()
    place = {name: i for i, name in enumerate(classes)}
    numbers = np.array([place[name] for name in made.example_class.values])
    labels = {half: numbers[inside] for half, inside in halves.items()}
    return Compared(contestants, labels, classes, settings["metric"], probed[0])


def _of_models(made: "xr.Dataset", rows: Sequence[int], path: Path) -> "xr.Dataset":
    """Those of the rows with these numbers, in their order."""
    if missing := set(rows) - set(made.model.values.tolist()):
        raise ArtefactError(f"{path}: lacks the models of rows {sorted(missing)}; delete it and run again")
    return made.sel(model=list(rows))


def _same_images(path: Path, rows: Sequence[int], examples: np.ndarray) -> "xr.Dataset":
    """Measures of these models on these images."""
    made = _of_models(labelled.read(path, MEASURES), rows, path)
    if not np.array_equal(made.example.values, examples):
        raise ArtefactError(f"{path}: of other images than the report half's; delete it and run again")
    return made


def _change(before: Path, after: Path, rows: Sequence[int]) -> np.ndarray:
    """Whether probes are right after minus before, float64[models, images]."""
    kinds: tuple[tuple[Path, Artefact], ...] = ((before, SOURCE_PROBES), (after, PROBES_AFTER))
    old, new = (_of_models(labelled.read(path, kind), rows, path) for path, kind in kinds)
    alike = np.array_equal(old.example.values, new.example.values)
    if not alike or old.train_images != new.train_images:
        raise ArtefactError(f"{after}: of other images than {before}; delete both and run again")
    return new.correct.values.astype(float) - old.correct.values
