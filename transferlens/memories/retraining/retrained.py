"""What leaving a memory out of the source changes, for the images that it distracts and for all."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from transferlens.core import artefacts, studies
from transferlens.core.errors import ArtefactError
from transferlens.core.statistics import Interval, bootstrap_counts
from transferlens.core.studies import FULL, Rows
from transferlens.data.artefacts import HALVES, read_examples
from transferlens.training import outputs as stored
from transferlens.training.artefacts import SUMMARY

OUTPUTS = ("p_true", "margin", "correct")


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
        kinds, models = _cells(rows)
        pairs = _full_models(whole, rows.repeats[models[0]])
        report = np.flatnonzero(halves == HALVES.index("report"))
        change = {}
        for output in OUTPUTS:
            after, before = (stored.Output(f, output)[:].astype(np.float64) for f in (file, full))
            change[output] = after[models][..., report] - before[pairs][:, report]
    left_out = (~rows.masks[models[:, 0]]).argmax(1)
    return Changes(kinds, left_out, report, labels[report], change)


def _cells(rows: Rows) -> tuple[list[str], np.ndarray]:
    """How each class that was left out was chosen, and the models without it, int64[left out, repeats]."""
    of_class: dict[tuple[str, int], list[int]] = {}
    for row, cell in enumerate(zip(rows.removed_by, rows.removed.tolist(), strict=True)):
        of_class.setdefault(cell, []).append(row)
    return [kind for kind, _ in of_class], np.array(list(of_class.values()))


def _full_models(reference: Rows, repeats: np.ndarray) -> np.ndarray:
    """Positions int64[repeats] of the full-source models of some repeats."""
    full = reference.of_role(FULL)
    return full[np.searchsorted(reference.repeats[full], repeats)]


def overall_change(values: np.ndarray, bootstrap: int, rng: np.random.Generator) -> Interval:
    """Mean float64[left out] of changes [left out, repeats, examples], bootstrapped over the latter two."""
    _, repeats, examples = values.shape
    drawn = []
    for _ in range(bootstrap):
        of_repeats, of_examples = _counts(repeats, rng), _counts(examples, rng)
        drawn.append(of_repeats @ (values @ of_examples).T / (of_repeats.sum() * of_examples.sum()))
    return Interval(values.mean((1, 2)), *np.quantile(drawn, [0.025, 0.975], axis=0))


def rescue(
    own: np.ndarray, control: np.ndarray, allowed: np.ndarray, bootstrap: int, rng: np.random.Generator
) -> tuple[Interval, Interval, Interval]:
    """What images gain when their own memory is left out, when a random class is, and by how much more.

    Args:
        own: float64[repeats, examples], change without the example's own memory.
        control: float64[random, repeats, examples], change without each random class.
        allowed: bool[random, examples], False where the random class means the same as the example's class.

    Returns:
        Means with intervals from a bootstrap over repeats, examples and random classes at once; the three
        share their draws.
    """
    classes, repeats, examples = control.shape
    value = _rescue(own, control, allowed, np.ones(repeats), np.ones(examples), np.ones(classes))
    drawn = [
        _rescue(own, control, allowed, _counts(repeats, rng), _counts(examples, rng), _counts(classes, rng))
        for _ in range(bootstrap)
    ]
    low, high = np.nanquantile(drawn, [0.025, 0.975], axis=0)
    return tuple(Interval(*ends) for ends in zip(value, low, high, strict=True))


def _rescue(
    own: np.ndarray,
    control: np.ndarray,
    allowed: np.ndarray,
    of_repeats: np.ndarray,
    of_examples: np.ndarray,
    of_classes: np.ndarray,
) -> np.ndarray:
    """(own, control, difference), weighted; examples without any allowed control are left out."""
    shares = allowed * of_classes[:, None]
    total = shares.sum(0)
    of_examples = of_examples * (total > 0)
    if not of_examples.any():
        return np.full(3, np.nan)
    shares = shares / np.where(total > 0, total, 1)
    weight = of_repeats.sum() * of_examples.sum()
    mine = of_repeats @ own @ of_examples / weight
    random = of_repeats @ (control * shares[:, None]).sum(0) @ of_examples / weight
    return np.array([mine, random, mine - random])


def _counts(n: int, rng: np.random.Generator) -> np.ndarray:
    """How often each of n units is drawn in the next replicate, float64[n]."""
    return bootstrap_counts(n, 1, rng)[0].astype(np.float64)
