"""What the page says of what influences show: subpopulations, failures, leakage, small targets."""

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import xarray as xr

from transferlens.analyses import findings
from transferlens.analyses.artefacts import FOLD_COLUMNS
from transferlens.core.blocks import (
    Block,
    Column,
    Figure,
    Results,
    Section,
    Table,
    adaptation,
    signed,
    signed_range,
)
from transferlens.core.run import Run

# By analysis: the heading, the caption of its picture, and what the picture shows.
_ANALYSES = {
    "subpopulations": (
        "Which examples of a class one source class helps",
        "For the pairs whose influence differs most between examples of the select half: the examples of the "
        "report half that are helped most (upper row) and hurt most (lower row). Pairs and examples are "
        "chosen by half of the draws of models; influences and standard errors are by the other half.",
        "Examples of target classes sorted by an influence",
    ),
    "failures": (
        "Which source classes are behind failures",
        "Report-half examples whose most frequent prediction by some full-source models is wrong, their most "
        "harmful source classes (chosen by half of the draws of models, influences by the other half), and "
        "the change when one is left out and the source trained again, against other full-source models than "
        "chose the examples (intervals over repeats).",
        "Misclassified examples and their most harmful source classes",
    ),
    "leakage": (
        "Leaking and misleading source images",
        "Strongest pairs of a block of source images and a target example of the report half, chosen by half "
        "of the draws of models, with influences by the other half and q over the pairs shown; below each "
        "example the most similar image of the block.",
        "Pairs of target examples and source images",
    ),
    "small_targets": (
        "With fewer target images",
        "Left: target accuracy. Right: correlation of class influences with those on the whole target (same "
        "source models). Bands are 95 % intervals, over repeats and over source classes.",
        "Accuracy and agreement of influences by target size",
    ),
}
_FINER_HEAD = (
    Column("target class"),
    Column("finer class"),
    Column("examples", number=True),
    Column("of the finer class", number=True),
    Column("AUROC of its influence (95 %)", number=True),
    Column("by either half of the draws", number=True),
)
_FINER_NOTE = (
    "How well the influence of a source class finds the examples of its own class within the coarser target "
    "class, which knows nothing of it; 0.5 is chance. Intervals are over examples, for these models: they do "
    "not allow for other draws of models, of which the two halves of the draws give an idea."
)
_CHANGE_HEAD = (
    Column("mean change of these examples"),
    Column("change", number=True),
    Column("95 % interval", number=True),
)


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe, the analyses that were made of it."""
    made = {name: run.jobs_of(name) for name in _ANALYSES}
    for target, recipe in run.adaptations:
        for name, (title, caption, alt) in _ANALYSES.items():
            if {"target": target, "recipe": recipe} not in made[name]:
                continue
            folder = results.folder / "analyses" / name / target
            blocks: list[Block] = [Figure(folder / f"{recipe}.png", caption, alt)]
            if name == "subpopulations" and (finer := finer_table(folder / f"{recipe}-finer.csv")).rows:
                blocks.append(finer)
            tests, found = 0, ()
            if name == "failures":
                failures = results.failures(target, recipe)
                blocks += changes(failures)
                found = findings.of_failures(failures, run.settings.report.output)
            if name == "leakage":
                leakage = results.leakage(target, recipe)
                tests, found = leakage.sizes["pair"], (findings.of_leakage(leakage),)
            anchor, subject = name.replace("_", "-"), adaptation(target, recipe)
            yield Section(
                title, anchor, tuple(blocks), subject, method="analyses", tests=tests, findings=found
            )


def changes(failures: xr.Dataset) -> list[Block]:
    """What happened to the shown failures in the mean: expected, realised, and with nothing removed."""
    if np.isnan(failures.mean_change):
        return []
    rows = [
        ("expected from the influences", signed(failures.mean_expected_change), ""),
        _change_row("realised without the class", failures, "mean_change"),
        ("nothing removed", "left out", "it takes three full-source models that report")
        if np.isnan(failures.placebo_change)
        else _change_row("nothing removed", failures, "placebo_change"),
    ]
    note = (
        f"Full-source models that chose the examples: {failures.attrs['choosing_models']}; others, which are "
        f"compared with the models without the class: {failures.attrs['reporting_models']}. Nothing removed: "
        "every other one of the latter against the rest. Intervals are over models, for these examples."
    )
    return [Table(_CHANGE_HEAD, tuple(rows), note)]


def _change_row(words: str, failures: xr.Dataset, name: str) -> tuple[str, str, str]:
    ends = failures[f"{name}_low"], failures[f"{name}_high"]
    return words, signed(failures[name]), signed_range(*ends)


def finer_table(path: Path) -> Table:
    """How well influences find finer classes within coarser target classes."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = tuple(
            (
                row["target_class"],
                row["source_class"],
                row["examples"],
                row["of_the_class"],
                f"{float(row['auroc']):.3f} ({float(row['low']):.3f} to {float(row['high']):.3f})",
                _folds_text(row),
            )
            for row in csv.DictReader(file)
        )
    return Table(_FINER_HEAD, rows, _FINER_NOTE)


def _folds_text(row: Mapping[str, str]) -> str:
    """The areas by either fold, where there are folds."""
    return ", ".join(f"{float(row[name]):.3f}" if row[name] else "left out" for name in FOLD_COLUMNS)
