"""What the page says of influences: which source classes help or hurt, and how far that can be trusted."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from transferlens.core import checks as expectations
from transferlens.core import labelled
from transferlens.core.blocks import (
    Card,
    Cards,
    Column,
    Figure,
    Results,
    Section,
    Subject,
    Table,
    adaptation,
    interval_text,
    signed,
    signed_range,
)
from transferlens.core.run import Run
from transferlens.core.statistics import Interval
from transferlens.influence import checks
from transferlens.influence.figures import MATRIX_CLASSES

_FIXED_SIZE = (
    "Masks have a fixed size, so the influences of an example sum to about zero: negative means below the "
    "average class, not harmful in absolute terms."
)
_STRONGEST_HEAD = (
    Column("target class"),
    Column("most helpful source class"),
    Column("influence (95 %)", number=True),
    Column("q", number=True),
    Column("most harmful source class"),
    Column("influence (95 %)", number=True),
    Column("q", number=True),
)
_STRONGEST_NOTE = (
    "These are the extremes of each row, so their size is biased outwards; their q-values account for the "
    "number of cells. Counterfactual retraining below is the independent test."
)


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe: checks, the matrix, and how far it can be trusted."""
    if "influence" not in run.studies:
        return
    design, output = run.studies["influence"].masks["design"], run.settings.report.output
    for target, recipe in run.adaptations:
        subject, figures = adaptation(target, recipe), results.folder / "report" / target / recipe
        influence = results.influence(target, recipe, output)
        if made := checks.run_checks(influence):
            yield expectations.section(subject, made)
        yield _strongest(subject, influence, figures, design)
        yield _trust(subject, results.scores(target, recipe), figures, output)


def _strongest(subject: Subject, influence: xr.Dataset, figures: Path, design: str) -> Section:
    pairs = influence.class_effect_q.sel(half="report").size
    models = int(influence.n_in[0] + influence.n_out[0])
    estimator = labelled.settings(influence)["estimator"].replace("_", " ")
    matrix = (
        f"Influence of a source class (column) on the mean {influence.attrs['output']} of a target class "
        f"(row): what seeing the class adds, by {estimator} from {models} models of design {design}. Red "
        f"helps, blue hurts. A dot marks q < 0.05 (Benjamini-Hochberg over all {pairs} pairs of a source and "
        f"a target class). Of more than {MATRIX_CLASSES} classes, those with the largest influences on the "
        "select half are shown; the table `class_influence.csv` has all."
    )
    overall = "Influence on the whole target: the strongest source classes at either end."
    blocks = (
        Figure(
            figures / "influence_matrix.svg", matrix, "Matrix of influences, target classes by source classes"
        ),
        Figure(figures / "strongest_classes.svg", overall, "Bars of the strongest influences on the target"),
        strongest_table(influence),
    )
    title = "Which source classes help or hurt which target classes"
    warnings = (_FIXED_SIZE,) if design == "fixed_size" else ()
    return Section(title, "influences", blocks, subject, warnings=warnings)


def strongest_table(influence: xr.Dataset) -> Table:
    """For every target class its most helpful and most harmful source class, report half."""
    report = influence.sel(half="report")
    rows = []
    for target_class in report.target_class.values:
        row = report.sel(target_class=target_class)
        ends = (int(row.class_effect.values.argmax()), int(row.class_effect.values.argmin()))
        rows.append((str(target_class), *(text for i in ends for text in _cell(row.isel(source_class=i)))))
    return Table(_STRONGEST_HEAD, tuple(rows), _STRONGEST_NOTE)


def _cell(cell: xr.Dataset) -> tuple[str, str, str]:
    """A source class, its influence with the interval, and q."""
    effect, low, high, q = (float(cell[f"class_effect{part}"]) for part in ("", "_low", "_high", "_q"))
    return str(cell.source_class.item()), f"{signed(effect)} ({signed_range(low, high)})", f"{q:.2g}"


def _trust(subject: Subject, scores: xr.Dataset, figures: Path, output: str) -> Section:
    caption = (
        f"Left: correlation of predicted and actual {output} of models that were held out, averaged over "
        "target examples; the ceiling is what a perfect prediction would reach. Right: reliability of the "
        "class influences (split halves, corrected to the number of models). Bands are 95 % intervals over "
        "models."
    )
    alt = "Curves of predictive correlation and reliability by the number of models"
    blocks = (Cards(score_cards(scores)), Figure(figures / "convergence.svg", caption, alt))
    title = "How far these influences can be trusted"
    return Section(title, "trust", blocks, subject, warnings=tuple(_score_warnings(subject, scores)))


def _reported(scores: xr.Dataset) -> xr.Dataset:
    """The scores of the reported estimator from all models."""
    return scores.sel(estimator=scores.attrs["reported_estimator"]).isel(models=-1)


def score_cards(scores: xr.Dataset) -> tuple[Card, ...]:
    """Predictive score, its ceiling, reliability and the models wanted, of the reported estimator."""
    last = _reported(scores)
    rows = [("correlation with outputs of held-out models", "score")]
    rows += [("the most it can be (models repeated from other seeds)", "ceiling")] * ("ceiling" in scores)
    rows += [(f"reliability of class influences from {int(last.models)} models", "reliability")]
    cards = []
    for text, name in rows:
        interval = Interval(*(float(last[name + end]) for end in ("", "_low", "_high")))
        if np.isfinite(interval.value):
            cards.append(Card(text, f"{interval.value:.2f}", interval_text(interval)))
    needed = [float(last[f"models_needed{end}"]) for end in ("", "_low", "_high")]
    if np.isfinite(needed[0]):
        low, high = (f"{n:.0f}" if np.isfinite(n) else "no limit" for n in needed[1:])
        cards.append(Card("models for a reliability of 0.9", f"{needed[0]:.0f}", f"95 % {low} to {high}"))
    return tuple(cards)


def _score_warnings(subject: Subject, scores: xr.Dataset) -> Iterator[str]:
    reported = _reported(scores)
    if np.isnan(float(reported.score)):
        yield (
            f"{subject.short}: there are too few models to score the influences on models that are held out; "
            "raise studies.influence.models."
        )
    elif float(reported.score_low) <= 0:
        yield (
            f"{subject.short}: the influences on single examples do not predict models that were held out "
            "(the correlation's interval includes zero); raise studies.influence.models."
        )
