"""How failures are stored, tabulated and drawn."""

from pathlib import Path

import numpy as np
import pandas as pd

from transferlens.analyses.artefacts import FAILURES
from transferlens.analyses.failures import Failure, Found
from transferlens.core import artefacts
from transferlens.core.statistics import Interval
from transferlens.data.pipeline import Images
from transferlens.pictures import figures

# The fields of a failure's intervals.
_STORED = {"expected": "expected_change", "change": "change"}


def table(failures: list[Failure], example_ids: list[str]) -> pd.DataFrame:
    """One row for every shown example and source class, each with what the removal of one class did."""
    columns = ["example", "true", "predicted", "share_correct", "source_class", "effect", "se", "q"]
    columns += ["removed", *_ends("expected_change"), *_ends("change")]
    columns += ["predicted_without", "share_correct_without"]
    rows = []
    for f in failures:
        removal = [f.removed, *_values(f.expected), *_values(f.change)]
        for i, name in enumerate(f.classes):
            row = [example_ids[f.example], f.true, f.predicted, f.correct, name, f.effect[i], f.se[i], f.q[i]]
            rows.append([*row, *removal, f.predicted_without, f.correct_without])
    return pd.DataFrame(rows, columns=columns)


def _ends(name: str) -> list[str]:
    """The names of an estimate and of the ends of its interval."""
    return [name, f"{name}_low", f"{name}_high"]


def _values(interval: Interval | None) -> list[float]:
    """An estimate and the ends of its interval; NaN for none."""
    return [np.nan] * 3 if interval is None else [interval.value, interval.low, interval.high]


def write_failures(path: Path, found: Found, example_ids: list[str], val: Images) -> None:
    """Store the failures with their images, and the mean changes."""
    failures = found.failures
    examples = np.array([f.example for f in failures], dtype=np.int64)
    with artefacts.create(path, FAILURES) as out:
        out.write("example", [example_ids[e] for e in examples])
        out.write("position", examples)
        for name, values in {
            "true": [f.true for f in failures],
            "predicted": [f.predicted for f in failures],
            "share_correct": [f.correct for f in failures],
            "removed": [f.removed or "" for f in failures],
            "predicted_without": [f.predicted_without for f in failures],
            "share_correct_without": [f.correct_without for f in failures],
        }.items():
            out.write(name, values)
        for name in ("expected", "change"):
            values = np.array([_values(getattr(f, name)) for f in failures]).reshape(-1, 3)
            for end, column in zip(_ends(_STORED[name]), values.T, strict=True):
                out.write(end, column)
        for name, interval in (("mean_change", found.change), ("placebo_change", found.placebo)):
            for end, value in zip(_ends(name), _values(interval), strict=True):
                out.write(end, value)
        out.write("mean_expected_change", found.expected)
        out.attribute("choosing_models", found.choosing)
        out.attribute("reporting_models", found.reporting)
        if found.missing:
            out.attribute("missing", found.missing)
        if failures:
            out.write("harmful", [f.classes for f in failures])
            for name, part in (("effect", "effect"), ("effect_se", "se"), ("effect_q", "q")):
                out.write(name, np.stack([getattr(f, part) for f in failures]))
            out.write("image", val.pick(examples)[1])


def draw(found: Found, path: Path, picture: Path, output: str) -> None:
    """One row a failure: the image, its most harmful classes, and the change without the removed one."""
    failures = found.failures
    if not failures:
        reason = found.missing or "full-source models misclassify no example of the report half"
        figures.save(figures.message(f"No failure is shown: {reason}."), picture)
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
                f"without {failure.removed}: expected {failure.expected.value:+.2f}, realised "
                f"{failure.change.value:+.2f} ({failure.change.low:+.2f} to {failure.change.high:+.2f}); "
                f"then taken for {failure.predicted_without}",
                fontsize=7,
            )
    axes[-1, 1].set_xlabel(
        f"influence on {output}, by models that did not choose it (bars: 95 %)", fontsize=8
    )
    figures.save(figure, picture)
