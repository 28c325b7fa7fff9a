"""What leaving a class out of the source changes: models without it against full-source models."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import artefacts, studies
from transferlens.core.errors import ArtefactError
from transferlens.core.studies import FULL, Rows
from transferlens.data.artefacts import HALVES, read_examples
from transferlens.training import outputs as stored
from transferlens.training.artefacts import SUMMARY

OUTPUTS = ("p_true", "margin", "correct")


@dataclass(frozen=True)
class LeftOut:
    """The models of a study of retraining, by the class that they lack.

    Attributes:
        kinds: how each class was chosen: 'distracting' or 'random', or 'all' where every class is left out.
        classes: int64[left out], source classes.
        models: int64[left out, repeats], the study's rows without each class, repeat by repeat.
    """

    kinds: list[str]
    classes: np.ndarray
    models: np.ndarray


def rows_without(rows: Rows) -> LeftOut:
    """Which rows lack which class."""
    of_class: dict[tuple[str, int], list[int]] = {}
    for row, cell in enumerate(zip(rows.removed_by, rows.removed.tolist(), strict=True)):
        of_class.setdefault(cell, []).append(row)
    models = np.array(list(of_class.values()))
    return LeftOut([kind for kind, _ in of_class], (~rows.masks[models[:, 0]]).argmax(1), models)


@dataclass(frozen=True)
class Changes:
    """Models without one source class against the full-source models of the same repeats.

    Attributes:
        kinds: 'distracting' or 'random', one a class left out.
        classes: int64[left out], source classes.
        examples: int64[examples], those of the report half, as positions in the target's val split.
        labels: int64[examples], their target classes.
        change: output: float64[left out, repeats, examples], without the class minus with it.
    """

    kinds: list[str]
    classes: np.ndarray
    examples: np.ndarray
    labels: np.ndarray
    change: dict[str, np.ndarray]

    def only(self, kind: str) -> np.ndarray:
        """Indices into `classes` of a kind."""
        return np.flatnonzero([k == kind for k in self.kinds])


def read_changes(without: Path, reference: Path) -> Changes:
    """Pair a study of retraining without memories with the reference study, repeat by repeat.

    Raises:
        ArtefactError: the two are of other target examples.
    """
    with artefacts.open(without, SUMMARY) as file, artefacts.open(reference, SUMMARY) as full:
        ids, labels, halves, _ = read_examples(file)
        if ids != read_examples(full)[0]:
            raise ArtefactError(f"{without}: other target examples than in {reference}; delete it")
        rows, whole = studies.read_rows(file), studies.read_rows(full)
        found = rows_without(rows)
        pairs = _full_models(whole, rows.repeats[found.models[0]])
        report = np.flatnonzero(halves == HALVES.index("report"))
        change = {}
        for output in OUTPUTS:
            after, before = (stored.Output(f, output)[:].astype(np.float64) for f in (file, full))
            change[output] = after[found.models][..., report] - before[pairs][:, report]
    return Changes(found.kinds, found.classes, report, labels[report], change)


def _full_models(reference: Rows, repeats: np.ndarray) -> np.ndarray:
    """Positions int64[repeats] of the full-source models of some repeats."""
    full = reference.of_role(FULL)
    return full[np.searchsorted(reference.repeats[full], repeats)]
