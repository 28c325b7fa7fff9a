"""What the page says of influences: which source classes help or hurt, and how far that can be trusted."""

from collections.abc import Iterable, Iterator
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
    Prose,
    Results,
    Section,
    Subject,
    Table,
    adaptation,
    interval_text,
    p_value,
    signed_estimate,
)
from transferlens.core.run import Run
from transferlens.core.statistics import Interval
from transferlens.influence import checks, extremes, findings
from transferlens.influence.extremes import Extremes
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
    "Half of the models choose the class (on the select half of the images), the other half report its "
    "influence (on the report half), and the other way round; shown is the mean of both reports. Where the "
    "halves choose different classes, both are named. q is Benjamini-Hochberg over the {} numbers of this "
    "table."
)


_RIVALS_HEAD = (
    Column("predictor of class influences"),
    Column("rank correlation, all pairs (95 %)", number=True),
    Column("of what is reachable (95 %)", number=True),
    Column("without pairs of one name (95 %)", number=True),
    Column("of what is reachable (95 %)", number=True),
)
_RIVALS_NOTE = (
    "Every predictor is compared with the class influences that half of the models report on the report half "
    "of the images; the first one is the influences from the other half of the models, on the other images. "
    "Label mapping (how often models take a target image for a source class) and similarity (of mean "
    "features) come from models of the whole source alone. Reachable is what the true influences would "
    "correlate with those of half of the models. Intervals are over source classes."
)


# Of the table of all targets and recipes.
_HEADLINE = (
    ("correlation with outputs of held-out models", "score"),
    ("reliability of class influences", "reliability"),
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
            yield expectations.section(subject, made, "influences")
        yield _strongest(subject, influence, figures, design, run.settings.report.top_classes)
        yield _trust(subject, results.scores(target, recipe), figures, output)
        if {"target": target, "recipe": recipe} in run.jobs_of("influence_rivals"):
            yield _rivals(subject, results.influence_rivals(target, recipe))


def _strongest(
    subject: Subject, influence: xr.Dataset, figures: Path, design: str, top_classes: int
) -> Section:
    pairs = influence.class_effect_q.sel(half="report").size
    models = int(influence.n_in[0] + influence.n_out[0])
    estimator = labelled.settings(influence)["estimator"].replace("_", " ")
    matrix = (
        f"Influence of a source class (column) on the mean {influence.attrs['output']} of a target class "
        f"(row), report half: what seeing the class adds, by {estimator} from all {models} models of design "
        f"{design}; no cell was chosen. Red helps, blue hurts. A dot marks q < 0.05 (Benjamini-Hochberg "
        f"over all {pairs} pairs of a source and a target class). Of more than {MATRIX_CLASSES} classes, "
        "those with the largest influences on the select half are shown; the table `class_influence.csv` has "
        "all."
    )
    blocks = (
        Figure(
            figures / "influence_matrix.svg", matrix, "Matrix of influences, target classes by source classes"
        ),
        *_extremes(influence, figures),
    )
    title = "Which source classes help or hurt which target classes"
    fixed_size = design == "fixed_size"
    ends = influence.sizes["target_class"] + findings.bars(influence, top_classes)
    return Section(
        title,
        "influences",
        blocks,
        subject,
        warnings=(_FIXED_SIZE,) if fixed_size else (),
        method="influences",
        tests=pairs + (0 if influence.attrs["folds_missing"] else 2 * ends),
        findings=findings.findings(influence, top_classes, fixed_size),
    )


def _extremes(influence: xr.Dataset, figures: Path) -> Iterator[Figure | Table | Prose]:
    """The strongest classes, of the whole target and of each target class; or why they are not told."""
    if missing := influence.attrs["folds_missing"]:
        yield Prose(
            "The strongest classes are not reported: the same models would choose and report them, and make "
            f"them too strong ({missing})."
        )
        return
    overall = (
        "Influence on the mean output of the whole target: the strongest source classes at either end. Each "
        "bar is a place in the ranking: half of the models choose the class for it, the other half report "
        "its influence, and the other way round (both classes are named where they differ). Bars: 95 %."
    )
    yield Figure(figures / "strongest_classes.svg", overall, "Bars of the strongest influences on the target")
    yield strongest_table(influence)


def strongest_table(influence: xr.Dataset) -> Table:
    """For every target class its most helpful and most harmful source class, each chosen by other models than
    report it.
    """
    ends = [extremes.of_target_classes(influence, sign) for sign in (extremes.HELPFUL, extremes.HARMFUL)]
    q, units = extremes.joint_q(ends), influence.source_class.values
    rows = [
        (
            str(name),
            *(text for end, of_end in zip(ends, q, strict=True) for text in _cell(end, of_end, row, units)),
        )
        for row, name in enumerate(influence.target_class.values)
    ]
    return Table(_STRONGEST_HEAD, tuple(rows), _STRONGEST_NOTE.format(2 * len(rows)))


def _cell(end: Extremes, q: np.ndarray, row: int, units: np.ndarray) -> tuple[str, str, str]:
    """The class or classes, their influence with the interval, and q."""
    value, low, high = (part[row, 0] for part in (end.value, end.low, end.high))
    return end.names(row, 0, units), signed_estimate(value, low, high), p_value(q[row, 0])


def _trust(subject: Subject, scores: xr.Dataset, figures: Path, output: str) -> Section:
    caption = (
        f"Left: correlation of predicted and actual {output} of models that were held out, over target "
        "examples of unit variance; the ceiling is what a perfect prediction would reach. Right: reliability "
        "of the class influences, the squared correlation with the true ones (what two such studies would "
        "correlate with each other). Bands are 95 % intervals over draws of all models."
    )
    alt = "Curves of predictive correlation and reliability by the number of models"
    blocks = (Cards(score_cards(scores)), Figure(figures / "convergence.svg", caption, alt))
    title = "How far these influences can be trusted"
    warnings = tuple(_score_warnings(subject, scores))
    return Section(
        title,
        "trust",
        blocks,
        subject,
        warnings=warnings,
        method="scores",
        headline=tuple(_known_cards(_reported(scores), _HEADLINE)),
    )


def _rivals(subject: Subject, rivals: xr.Dataset) -> Section:
    """What the influences tell that cheap predictors do not."""
    block: Table | Prose
    if missing := rivals.attrs["folds_missing"]:
        block = Prose(f"Rivals are not compared with the influences: {missing}.")
    else:
        block = rivals_table(rivals)
    title = "What influences tell that cheap rivals do not"
    return Section(title, "influence-rivals", (block,), subject, method="rivals")


def rivals_table(rivals: xr.Dataset) -> Table:
    """Every predictor's rank correlation with class influences, and its share of what can be reached."""
    rows = []
    for predictor in rivals.predictor.values:
        of_one = rivals.sel(predictor=predictor)
        cells = (
            _rival_cell(of_one.sel(cells=cells), name)
            for cells in rivals.cells.values
            for name in ("correlation", "of_reachable")
        )
        rows.append((str(predictor), *cells))
    return Table(_RIVALS_HEAD, tuple(rows), _RIVALS_NOTE)


def _rival_cell(cell: xr.Dataset, name: str) -> str:
    value, low, high = (float(cell[f"{name}{end}"]) for end in ("", "_low", "_high"))
    return f"{value:.2f} ({low:.2f} to {high:.2f})" if np.isfinite(value) else "–"


def _reported(scores: xr.Dataset) -> xr.Dataset:
    """The scores of the reported estimator from all models."""
    return scores.sel(estimator=scores.attrs["reported_estimator"]).isel(models=-1)


def score_cards(scores: xr.Dataset) -> tuple[Card, ...]:
    """Predictive score, its ceiling, reliability and the models wanted, of the reported estimator."""
    last = _reported(scores)
    rows = [("correlation with outputs of held-out models", "score")]
    rows += [("the most it can be (models repeated from other seeds)", "ceiling")] * ("ceiling" in scores)
    rows += [(f"reliability of class influences from {int(last.models)} models", "reliability")]
    cards = list(_known_cards(last, rows))
    needed = [float(last[f"models_needed{end}"]) for end in ("", "_low", "_high")]
    if np.isfinite(needed[0]):
        low, high = (f"{n:.0f}" if np.isfinite(n) else "no limit" for n in needed[1:])
        cards.append(Card("models for a reliability of 0.9", f"{needed[0]:.0f}", f"95 % {low} to {high}"))
    return tuple(cards)


def _known_cards(last: xr.Dataset, rows: Iterable[tuple[str, str]]) -> Iterator[Card]:
    """Cards of (text, name of a score), of those scores that are known."""
    for text, name in rows:
        interval = Interval(*(float(last[name + end]) for end in ("", "_low", "_high")))
        if np.isfinite(interval.value):
            known = np.isfinite(interval.low)
            detail = interval_text(interval) if known else "no interval: too slow to fit again and again"
            yield Card(text, f"{interval.value:.2f}", detail)


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
