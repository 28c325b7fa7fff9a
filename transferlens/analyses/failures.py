"""Failures: misclassified examples, the source classes that harm them most, and what removing one does.

The influences come from the influence study; the change of the prediction comes from counterfactual models
that were trained without the class (single removals), which is an independent test.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr

from transferlens.core import store
from transferlens.core.statistics import Interval, mean_interval, q_values, t_interval, two_sided_p
from transferlens.data.pipeline import Images
from transferlens.pictures import figures

KIND = "failures"
_SHOWN_CLASSES = 5


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
    influence: xr.Dataset, reference: xr.Dataset, removals: xr.Dataset, output: str, count: int
) -> list[Failure]:
    """The misclassified report-half examples that some source class hurts most for sure.

    Examples are ranked by the upper end of the 95 % interval of the influence of their most harmful class,
    among the classes with single removals if there are any.
    """
    full = reference.isel(model=reference.mask.all("source_class").values)
    singles = _single_removals(removals)
    effect, se = influence.effect.values.astype(np.float64), influence.se.values.astype(np.float64)
    q = _report_half_q(influence, effect, se)
    wrong = (influence.example_half.values == "report") & (full.correct.mean("model").values < 0.5)
    candidates = [influence.source_class.values.tolist().index(c) for c in singles] or slice(None)
    upper = t_interval(effect, se, influence.attrs["df"]).high[:, candidates].min(1)
    order = np.flatnonzero(wrong)[np.argsort(upper[wrong], kind="stable")]
    return [
        _failure(int(e), influence, effect, se, q, full, removals, singles, output) for e in order[:count]
    ]


def _report_half_q(influence: xr.Dataset, effect: np.ndarray, se: np.ndarray) -> np.ndarray:
    """Benjamini-Hochberg over all cells of the report half; NaN elsewhere."""
    report = influence.example_half.values == "report"
    q = np.full(effect.shape, np.nan)
    q[report] = q_values(two_sided_p(effect[report], se[report], influence.attrs["df"]))
    return q


def _single_removals(removals: xr.Dataset) -> dict[str, np.ndarray]:
    """The models (positions, repeat by repeat) that miss just one class, by that class."""
    found: dict[str, list[int]] = {}
    for i, (label, mask) in enumerate(zip(removals.label.values, removals.mask.values, strict=True)):
        if str(label).startswith("single-"):
            found.setdefault(str(removals.source_class.values[~mask][0]), []).append(i)
    return {name: np.array(models) for name, models in found.items()}


def _failure(e, influence, effect, se, q, full, removals, singles, output) -> Failure:
    classes, sources = influence.target_class.values, influence.source_class.values
    worst = np.argsort(effect[e], kind="stable")[:_SHOWN_CLASSES]
    known = Failure(
        e,
        str(influence.example_class.values[e]),
        _majority(full.prediction.values[:, e], classes),
        float(full.correct.values[:, e].mean()),
        [str(sources[c]) for c in worst],
        effect[e, worst],
        se[e, worst],
        t_interval(effect[e, worst], se[e, worst], influence.attrs["df"]).high - effect[e, worst],
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


def write_failures(
    path: Path, failures: list[Failure], example_ids: list[str], val: Images, *, config: dict, inputs: list
) -> None:
    """Store the failures with their images."""
    examples = np.array([f.example for f in failures], dtype=np.int64)
    with store.create(path, KIND, config=config, inputs=inputs) as out:
        dims = ["failures"]
        out.array("examples", examples, dims, "position in the val split")
        out.strings("example_ids", [example_ids[e] for e in examples], dims, "the data set's own example id")
        for key, meaning in (
            ("true", "true target class"),
            ("predicted", "class that most full-source models predict"),
            ("predicted_without", "class that most models without the removed one predict"),
        ):
            out.strings(key, [getattr(f, key) for f in failures], dims, meaning)
        out.strings("removed", [f.removed or "" for f in failures], dims, "source class removed")
        for key, values, meaning in (
            ("correct", [f.correct for f in failures], "share of full-source models that are right"),
            ("expected", [f.expected for f in failures], "expected change: minus the influence"),
            ("correct_without", [f.correct_without for f in failures], "share right without the class"),
            *(
                (f"change_{k}", [getattr(f.change, k, np.nan) for f in failures], f"realised change: {k}")
                for k in ("value", "low", "high")
            ),
        ):
            out.array(key, np.array(values, dtype=np.float64), dims, meaning)
        if failures:
            names = [name for f in failures for name in f.classes]
            out.strings("classes", names, ["failures and classes"], "most harmful source classes")
            for key in ("effect", "se", "q"):
                values = np.stack([getattr(f, key) for f in failures])
                out.array(key, values, ["failures", "classes"], f"{key} of the influence")
            _, pixels = val.pick(examples)
            out.array("images", pixels, ["failures", "height", "width", "channels"], "input", "bytes")


def draw(failures: list[Failure], path: Path, picture: Path, output: str) -> None:
    """One row a failure: the image, its most harmful classes, and the change without the removed one."""
    if not failures:
        figures.save(
            figures.message("Full-source models misclassify no example of the report half."), picture
        )
        return
    with store.open(path, KIND) as file:
        images = file["images"][:]
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
