"""What the page says of what influences show: subpopulations, failures, leakage, small targets."""

import csv
from collections.abc import Iterator
from pathlib import Path

from transferlens.core.blocks import Block, Column, Figure, Results, Section, Table, adaptation
from transferlens.core.run import Run

# By analysis: the heading, the caption of its picture, and what the picture shows.
_ANALYSES = {
    "subpopulations": (
        "Which examples of a class one source class helps",
        "For the pairs whose influence differs most between examples of the select half: the examples of the "
        "report half that are helped most (upper row) and hurt most (lower row), with influence and standard "
        "error.",
        "Examples of target classes sorted by an influence",
    ),
    "failures": (
        "Which source classes are behind failures",
        "Report-half examples that full-source models mostly misclassify, their most harmful source classes, "
        "and the change when one is left out and the source trained again (an independent test; interval "
        "over repeats). The examples are those with the strongest estimates, so the expected change is "
        "biased outwards.",
        "Misclassified examples and their most harmful source classes",
    ),
    "leakage": (
        "Leaking and misleading source images",
        "Strongest pairs of a block of source images and a target example of the report half; below each "
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
)
_FINER_NOTE = (
    "How well the influence of a source class finds the examples of its own class within the coarser target "
    "class, which knows nothing of it; 0.5 is chance. Intervals are over examples."
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
            yield Section(title, name.replace("_", "-"), tuple(blocks), adaptation(target, recipe))


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
            )
            for row in csv.DictReader(file)
        )
    return Table(_FINER_HEAD, rows, _FINER_NOTE)
