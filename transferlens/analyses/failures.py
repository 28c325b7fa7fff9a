"""Failures: misclassified examples, the source classes that harm them most, and what removing one does.

The influences come from the influence study; the change of the prediction comes from counterfactual models
that were trained without the class (single removals), which is an independent test.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.analyses.artefacts import FAILURES, HARMFUL
from transferlens.core import artefacts
from transferlens.core.statistics import Interval, mean_interval, q_values, t_interval, two_sided_p
from transferlens.core.studies import FULL
from transferlens.data.pipeline import Images
from transferlens.pictures import figures

_SINGLE = "single"  # how units are chosen that are removed alone


@dataclass(frozen=True)
class Failure:
    """A report-half example that full-source models mostly misclassify.

    Attributes:
        example: position in the val split.
        predicted: the class that most full-source models predict.
        correct: share of the full-source models that are right.
        classes: the source classes that hurt it most, most harmful first.
        effect, se, reach, q: float[classes], influences, standard errors, half widths of 95 % intervals,
            q-values.
        removed: the most harmful class among those with single removals (None if there are none).
        change: realised change of the output without it, over repeats (None as above).
        predicted_without: the class that most models without it predict.
        correct_without: share of the models without it that are right.
    """

    example: int
    true: str
    predicted: str
    correct: float
    classes: list[str]
    effect: np.ndarray
    se: np.ndarray
    reach: np.ndarray
    q: np.ndarray
    removed: str | None = None
    expected: float = np.nan
    change: Interval | None = None
    predicted_without: str = ""
    correct_without: float = np.nan


def find_failures(
    influence: xr.Dataset, reference: xr.Dataset, removals: xr.Dataset | None, output: str, count: int
) -> list[Failure]:
    """The misclassified report-half examples that some source class hurts most for sure.

    Examples are ranked by the upper end of the 95 % interval of the influence of their most harmful class,
    among the classes with single removals if there are any.

    Args:
        reference, removals: summaries of full-source models, and of models without some classes (None for
            none).
    """
    full = reference.isel(model=reference.role.values == FULL)
    singles = {} if removals is None else _single_removals(removals)
    effect, se = (influence[name].values.astype(np.float64) for name in ("effect", "effect_se"))
    q = _report_half_q(influence, effect, se)
    wrong = (influence.example_half.values == "report") & (full.correct.mean("model").values < 0.5)
    candidates = [influence.source_class.values.tolist().index(c) for c in singles] or slice(None)
    upper = t_interval(effect, se, float(influence.df)).high[:, candidates].min(1)
    order = np.flatnonzero(wrong)[np.argsort(upper[wrong], kind="stable")]
    return [
        _failure(int(e), influence, effect, se, q, full, removals, singles, output) for e in order[:count]
    ]


def _report_half_q(influence: xr.Dataset, effect: np.ndarray, se: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg over all cells of the report half; NaN elsewhere."""
    report = influence.example_half.values == "report"
    q = np.full(effect.shape, np.nan)
    q[report] = q_values(two_sided_p(effect[report], se[report], float(influence.df)))
    return q


def _single_removals(removals: xr.Dataset) -> dict[str, np.ndarray]:
    """The models (positions, repeat by repeat) that miss just one class, by that class."""
    models: dict[str, list[int]] = {}
    for i in np.flatnonzero(removals.removed_by.values == _SINGLE):
        models.setdefault(str(removals.unit.values[~removals.mask.values[i]][0]), []).append(i)
    return {name: np.array(rows) for name, rows in models.items()}


def _failure(
    e: int,
    influence: xr.Dataset,
    effect: np.ndarray,
    se: np.ndarray,
    q: np.ndarray,
    full: xr.Dataset,
    removals: xr.Dataset | None,
    singles: dict[str, np.ndarray],
    output: str,
) -> Failure:
    """What is known of one example."""
    classes, sources = influence.target_class.values, influence.source_class.values
    worst = np.argsort(effect[e], kind="stable")[:HARMFUL]
    known = Failure(
        e,
        str(influence.example_class.values[e]),
        _majority(full.prediction.values[:, e], classes),
        float(full.correct.values[:, e].mean()),
        [str(sources[c]) for c in worst],
        effect[e, worst],
        se[e, worst],
        t_interval(effect[e, worst], se[e, worst], float(influence.df)).high - effect[e, worst],
        q[e, worst],
    )
    if not singles:
        return known
    removed = min(singles, key=lambda name: effect[e, sources.tolist().index(name)])
    models = singles[removed]
    before, after = full[output].values[: len(models), e], removals[output].values[models, e]
    return replace(
        known,
        removed=removed,
        expected=float(-effect[e, sources.tolist().index(removed)]),
        change=mean_interval(after.astype(np.float64) - before),
        predicted_without=_majority(removals.prediction.values[models, e], classes),
        correct_without=float(removals.correct.values[models, e].mean()),
    )


def _majority(predictions: np.ndarray, classes: np.ndarray) -> str:
    return str(classes[np.bincount(predictions, minlength=len(classes)).argmax()])


def table(failures: list[Failure], example_ids: list[str]) -> pd.DataFrame:
    """One row for every shown example and source class, each with what the removal of one class did."""
    columns = ["example", "true", "predicted", "share_correct", "source_class", "effect", "se", "q"]
    columns += ["removed", "expected_change", "change", "change_low", "change_high"]
    columns += ["predicted_without", "share_correct_without"]
    rows = []
    for f in failures:
        removal = [
            f.removed,
            f.expected,
            *((f.change.value, f.change.low, f.change.high) if f.change else [np.nan] * 3),
        ]
        for i, name in enumerate(f.classes):
            row = [example_ids[f.example], f.true, f.predicted, f.correct, name, f.effect[i], f.se[i], f.q[i]]
            rows.append([*row, *removal, f.predicted_without, f.correct_without])
    return pd.DataFrame(rows, columns=columns)


def write_failures(path: Path, failures: list[Failure], example_ids: list[str], val: Images) -> None:
    """Store the failures with their images."""
    examples = np.array([f.example for f in failures], dtype=np.int64)
    with artefacts.create(path, FAILURES) as out:
        out.write("example", [example_ids[e] for e in examples])
        out.write("position", examples)
        for name, values in {
            "true": [f.true for f in failures],
            "predicted": [f.predicted for f in failures],
            "share_correct": [f.correct for f in failures],
            "removed": [f.removed or "" for f in failures],
            "expected_change": [f.expected for f in failures],
            "change": [getattr(f.change, "value", np.nan) for f in failures],
            "change_low": [getattr(f.change, "low", np.nan) for f in failures],
            "change_high": [getattr(f.change, "high", np.nan) for f in failures],
            "predicted_without": [f.predicted_without for f in failures],
            "share_correct_without": [f.correct_without for f in failures],
        }.items():
            out.write(name, values)
        if failures:
            out.write("harmful", [f.classes for f in failures])
            for name, part in (("effect", "effect"), ("effect_se", "se"), ("effect_q", "q")):
                out.write(name, np.stack([getattr(f, part) for f in failures]))
            out.write("image", val.pick(examples)[1])


def draw(failures: list[Failure], path: Path, picture: Path, output: str) -> None:
    """One row a failure: the image, its most harmful classes, and the change without the removed one."""
    if not failures:
        figures.save(
            figures.message("Full-source models misclassify no example of the report half."), picture
        )
        return
    with artefacts.open(path, FAILURES) as file:
        images = file["image"][:]
    figure = figures.figure(7.5, 1.75 * len(failures), layout="tight")
    axes = figure.subplots(len(failures), 2, squeeze=False, width_ratios=[1, 3])
    for failure, image, (left, right) in zip(failures, images, axes, strict=True):
        figures.show(left, image, f"{failure.true},\ntaken for {failure.predicted}")
        places = np.arange(len(failure.classes))
        colours = [figures.HURT if e < 0 else figures.HELP for e in failure.effect]
        right.barh(
            places, failure.effect, xerr=failure.reach, color=colours, ecolor=figures.ERROR_BARS, height=0.7
        )
        right.set_yticks(places, failure.classes, fontsize=7)
        right.invert_yaxis()
        right.axvline(0, color="black", linewidth=0.8)
        right.tick_params(axis="x", labelsize=7)
        if failure.change:
            right.set_title(
                f"without {failure.removed}: expected {failure.expected:+.2f}, realised "
                f"{failure.change.value:+.2f} ({failure.change.low:+.2f} to {failure.change.high:+.2f}); "
                f"then taken for {failure.predicted_without}",
                fontsize=7,
            )
    axes[-1, 1].set_xlabel(f"influence on {output} (bars: 95 %)", fontsize=8)
    figures.save(figure, picture)
