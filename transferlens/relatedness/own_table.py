"""What can be said, before any training, of a target by a reference: probe, bound and scores, as a table.

Every number stands with an interval or with the reason why it has none. Those of probe and bound are over
test images, with heads and transform as they are; those of scores over training images. None is over models:
there is one.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from transferlens.core.statistics import mean_interval
from transferlens.relatedness import bound
from transferlens.relatedness.heads import Head, fit_head
from transferlens.relatedness.own_folders import Seen
from transferlens.relatedness.tasks import Task
from transferlens.relatedness.transport import wasserstein_floor
from transferlens.scores import jackknife
from transferlens.scores.candidate import Candidate
from transferlens.scores.measuring import find, measure

TEST_IMAGES, TRAINING_IMAGES = "test images", "training images"


@dataclass(frozen=True)
class Row:
    """A number of the table.

    Attributes:
        part: `probe`, `bound` or `score`.
        name: in files.
        title: in words.
        value: NaN where it cannot be had.
        low, high: 95 % interval; NaN where there is none.
        over: what the interval is over; empty where there is none.
        note: why there is no value or no interval; else what helps to read it.
    """

    part: str
    name: str
    title: str
    value: float
    low: float = float("nan")
    high: float = float("nan")
    over: str = ""
    note: str = ""


class Asked(NamedTuple):
    """What is to be said of two tasks.

    Attributes:
        tau: Lipschitz constant that heads are held to.
        options: how the reference is turned into the target.
        scores: names.
        seed: of transform, jackknife and floor.
    """

    tau: float
    options: bound.Options
    scores: Sequence[str]
    seed: int


def rows(reference: Seen, target: Seen, logits: np.ndarray | None, asked: Asked) -> list[Row]:
    """The table.

    Args:
        logits: float64[target's training images, source classes] of the network's own head, if it has one.

    Raises:
        DataError: a folder that is no task.
        NumericalError: a solver did not converge.
    """
    from_task, to_task = reference.task(), target.task()
    heads = bound.fit_heads(from_task, to_task, asked.tau)
    relation = bound.relate(from_task, to_task, heads, asked.options, asked.seed)
    source = reference.train, reference.train_labels
    candidate = Candidate(target.train, target.train_labels, target.classes, logits, source)
    return [
        *probe_rows(to_task, relation, asked.tau),
        *bound_rows(to_task, relation, asked.seed),
        *score_rows(candidate, asked.scores, asked.seed),
    ]


_TERMS = (
    ("reference_loss", "re-weighted reference loss", "reference head on reference images"),
    ("label_mismatch", "+ label mismatch", "decided by training images alone"),
    ("lipschitz", "+ Lipschitz constant", "decided by training images alone"),
    ("wasserstein", "  x Wasserstein distance", ""),
    ("prior_gap", "+ prior gap", ""),
    ("bound", "= bound of the transformed head's loss", ""),
    ("bound_tight", "tighter form of the bound", ""),
    ("transformed_loss", "loss of the transformed head", "what the bound bounds"),
    ("transformed_accuracy", "accuracy of the transformed head", ""),
)


def probe_rows(target: Task, relation: bound.Relation, tau: float) -> Iterator[Row]:
    """Linear probes on the target: with a ridge penalty, and held to the bound's Lipschitz constant."""
    free = fit_head(target.train, target.classes, None)
    yield _within(_over_test("probe", "accuracy", "accuracy, ridge", right(free, target)))
    yield _over_test("probe", "loss", "loss, ridge", free.losses(target.test))
    for name, what in (("probe_accuracy", "accuracy"), ("probe_loss", "loss")):
        note = " ".join(relation.warnings) if name == "probe_loss" else ""
        row = _of_relation("probe", relation, name, f"{what}, held to tau {tau:g}", note)
        yield _within(row) if what == "accuracy" else row
    guess = "loss of who guesses"
    yield Row("probe", "log_classes", "log of the number of classes", relation.log_classes, note=guess)


def right(head: Head, target: Task) -> np.ndarray:
    """Which test images a head names rightly, float64[images]."""
    named = head.log_probabilities(target.test.features).argmax(1)
    return (named == target.test.labels).astype(np.float64)


def _over_test(part: str, name: str, title: str, values: np.ndarray) -> Row:
    interval = mean_interval(values)
    return Row(part, name, title, *map(float, (interval.value, interval.low, interval.high)), TEST_IMAGES)


def _within(row: Row) -> Row:
    """An accuracy whose interval ends where accuracies do."""
    return replace(row, low=float(np.maximum(row.low, 0.0)), high=float(np.minimum(row.high, 1.0)))


def bound_rows(target: Task, relation: bound.Relation, seed: int) -> Iterator[Row]:
    """The bound, its terms and what it bounds."""
    for name, title, note in _TERMS:
        if name == "bound" and relation.bound >= relation.log_classes:
            note = "above the loss of who guesses: it promises nothing"
        yield _of_relation("bound", relation, name, title, note)
    floor = wasserstein_floor(target.test, np.random.default_rng(seed))
    note = "between random halves of the target's test images"
    yield Row("bound", "wasserstein_floor", "floor of the Wasserstein distance", floor, note=note)


def _of_relation(part: str, relation: bound.Relation, name: str, title: str, note: str = "") -> Row:
    value, interval = float(getattr(relation, name)), relation.intervals.get(name)
    if interval is None:
        return Row(part, name, title, value, note=note)
    if np.isnan(interval.low):
        return Row(part, name, title, value, note="no interval: a class has one test image")
    return Row(part, name, title, value, float(interval.low), float(interval.high), TEST_IMAGES, note)


def score_rows(candidate: Candidate, names: Sequence[str], seed: int) -> Iterator[Row]:
    """Scores; those that depend on other candidates cannot be had of one."""
    alone = [name for name in names if not find(name).pooled]
    found = measure(candidate, alone)
    had = {name: found[name].values[0] for name in alone if not found[name].reason}
    intervals = jackknife.intervals(had, jackknife.without_each_group(candidate, seed))
    for name in names:
        title = find(name).title
        if name not in found:
            yield Row("score", name, title, float("nan"), note="depends on the other candidates of a pool")
        elif name not in had:
            yield Row("score", name, title, float("nan"), note=found[name].reason)
        else:
            ends = float(intervals[name].low), float(intervals[name].high)
            none = np.isnan(ends[0])
            note = "not to be had without some of the images" if none else ""
            yield Row("score", name, title, had[name], *ends, "" if none else TRAINING_IMAGES, note)


def write(path: Path, rows: Sequence[Row]) -> None:
    """The rows as CSV; what cannot be had is empty."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.DictWriter(file, [field.name for field in fields(Row)])
        out.writeheader()
        for row in rows:
            out.writerow({k: "" if v != v else v for k, v in asdict(row).items()})


def read(path: Path) -> list[Row]:
    """The rows of a table that `write` wrote."""
    with path.open(newline="", encoding="utf-8") as file:
        return [Row(**{k: _read_cell(k, v) for k, v in row.items()}) for row in csv.DictReader(file)]


def _read_cell(column: str, text: str) -> float | str:
    """Columns of numbers as numbers, what is empty there as NaN."""
    return float(text or "nan") if column in ("value", "low", "high") else text


_HEADINGS = {
    "probe": "Linear probe on frozen features",
    "bound": "Bound of its loss by way of the reference (nats)",
    "score": "Transferability scores (higher is better, among networks seen on the same images)",
}


_INTERVALS = (
    "Intervals are 95 %: of probe and bound over test images, of scores over training images, each for this "
    "one network."
)
_FEW = (
    "No more training images than features: any classes can be separated, H-score is at its largest whatever "
    "they are, and SFDA near its own."
)


def text(rows: Sequence[Row], reference: Seen, target: Seen) -> str:
    """The rows as they are printed, under what they are of."""
    width = max(len(row.title) for row in rows)
    lines = [f"Target: {_described(target)}.", f"Reference: {_described(reference)}.", _INTERVALS]
    for part, heading in _HEADINGS.items():
        lines += ["", heading]
        lines += [_line(row, width) for row in rows if row.part == part]
    if len(target.train) <= target.train.shape[1]:
        lines += ["", _FEW]
    return "\n".join(lines)


def _described(seen: Seen) -> str:
    return (
        f"{seen.name}, {seen.classes} classes, {len(seen.train_labels):,} training and "
        f"{len(seen.test_labels):,} test images"
    )


def _line(row: Row, width: int) -> str:
    value = "-" if np.isnan(row.value) else f"{row.value:.4g}"
    interval = "" if np.isnan(row.low) else f"{row.low:.4g} to {row.high:.4g}"
    return f"  {row.title:<{width}}  {value:>9}  {interval:<22}  {row.note}".rstrip()
