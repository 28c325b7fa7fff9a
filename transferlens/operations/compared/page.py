"""The page of a comparison."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from transferlens.core.blocks import (
    Block,
    Column,
    Figure,
    Prose,
    Section,
    Subject,
    Table,
    signed,
    signed_range,
)
from transferlens.operations.compared import pictures
from transferlens.operations.compared.folders import Folder
from transferlens.pictures import figures
from transferlens.report import frame

if TYPE_CHECKING:
    from transferlens.operations.compared.comparison import Adaptation, Pair

_SHOWN = 12  # rows of a table; all are in the CSV
_MAPS = (
    "Evidence for the true class in the same images, where at least two of the recipes and runs drew them. "
    "Every column has a scale of its own: shapes can be compared, strengths cannot. {} examples are drawn by "
    "two or more; at most eight are shown."
)
_HOW = (
    "Differences are of the second folder minus the first, with 95 % intervals over models, not over "
    "examples. Of independent models variances add; where runs share their models, differences are taken "
    "model by model, or have no interval. q-values are Benjamini and Hochberg's over all rows of a table, "
    "those not shown included."
)


def write(path: Path, folders: Sequence[Folder], pairs: Sequence["Pair"], drawings: Path) -> None:
    """Write the page; its figures are drawn in the folder `drawings` and put into it."""
    sections = [_named(folders)]
    for pair in pairs:
        sections += _of_pair(pair)
    sections += _maps(folders, drawings)
    frame.write_page(path, "Runs side by side", _HOW, sections)


def _named(folders: Sequence[Folder]) -> Section:
    head = Column("folder"), Column("path"), Column("results", number=True)
    rows = tuple((f.letter, str(f.results.folder), str(len(f.made))) for f in folders)
    return Section("", "folders", (Table(head, rows),), Subject("Folders", "folders", "Folders"))


def _of_pair(pair: "Pair") -> Iterator[Section]:
    letters = f"{pair.second.letter} minus {pair.first.letter}"
    anchor = f"{pair.first.letter}{pair.second.letter}"
    subject = Subject(letters, anchor, letters)
    yield Section("Settings that differ", "settings", (_settings(pair),), subject)
    if len(pair.lacking):
        yield Section("What one folder lacks", "lacking", (_lacking(pair.lacking),), subject)
    for a in pair.adaptations:
        of = Subject(
            f"{letters}: target {a.target}, recipe {a.recipe}",
            f"{anchor}-{a.target}-{a.recipe}",
            f"{letters}: {a.target} ({a.recipe})",
        )
        if notes := tuple(_notes(a)):
            yield Section("", "notes", notes, of)
        for i, (name, table) in enumerate(a.tables.items()):
            tests = int(table.p.notna().sum())
            blocks = (Prose(summary(table)), _differences(pair, table))
            yield Section(name[0].upper() + name[1:], f"q{i}", blocks, of, tests=tests)


def _settings(pair: "Pair") -> Block:
    if not len(pair.settings):
        return Prose("None, in any result that both hold.")
    head = (
        Column("setting"),
        Column("of"),
        Column(pair.first.letter),
        Column(pair.second.letter),
        Column("files", number=True),
    )
    return Table(head, tuple(tuple(map(str, row)) for row in pair.settings.itertuples(index=False)))


def _lacking(table: pd.DataFrame) -> Table:
    head = tuple(Column(name, number=name == "files") for name in table.columns)
    return Table(head, tuple(tuple(map(str, row)) for row in table.itertuples(index=False)))


def _notes(adaptation: "Adaptation") -> Iterator[Prose]:
    if adaptation.examples and adaptation.examples[0] < adaptation.examples[1]:
        common, total = adaptation.examples
        yield Prose(
            f"The runs are evaluated on different examples ({common} of {total} in common). Intervals are "
            "over models and do not cover that: a difference may be one of the examples."
        )
    for letter, name in adaptation.lacking:
        yield Prose(f"Folder {letter} has no {name}.")
    if adaptation.agreement:
        yield Prose(agreement_text(adaptation) + ".")


def agreement_text(adaptation: "Adaptation") -> str:
    """How alike the class influences are, beside what reliability allows."""
    found = adaptation.agreement
    text = (
        f"class influences correlate by {float(found.correlation.value):.2f} "
        f"({float(found.correlation.low):.2f} to {float(found.correlation.high):.2f} over source classes) "
        f"in {found.cells} pairs of classes"
    )
    if adaptation.shares:
        return f"{text}; models are shared or may be, so that common errors count as agreement"
    if np.isnan(found.allowed.value):
        return f"{text}; reliability is not known in both, on the same output"
    return (
        f"{text}; with equal true influences, reliability allows {found.allowed.value:.2f} "
        f"(between {found.allowed.low:.2f} and {found.allowed.high:.2f} by the ends of both reliabilities)"
    )


def summary(table: pd.DataFrame) -> str:
    """What a table of differences says, in a line."""
    largest = table.loc[table.difference.abs().idxmax()]
    tested, told = table.q.notna().sum(), table.difference_low.notna()
    away = int(((table.difference_low > 0) | (table.difference_high < 0))[told].sum())
    parts = [f"{len(table)} compared"]
    if told.any():
        parts.append(f"{away} of {int(told.sum())} intervals exclude 0")
    if tested:
        parts.append(f"{int((table.q < frame.LEVEL).sum())} with q < {frame.LEVEL}")
    if largest.difference == 0:
        parts.append("all differences are 0")
    else:
        parts.append(f"largest {signed(largest.difference)} ({largest.of})")
    for how, count in table.how.value_counts().items():
        parts.append(f"{how} ({count})")
    return "; ".join(parts)


def _differences(pair: "Pair", table: pd.DataFrame) -> Table:
    shown = table.iloc[(-table.difference.abs().to_numpy()).argsort(kind="stable")[:_SHOWN]]
    names = ("of", pair.first.letter, pair.second.letter, "difference", "95 %", "q")
    head = tuple(Column(name, number=name != "of") for name in names)
    rows = tuple(
        (
            str(row.of),
            _value(row.first_value, row.first_low, row.first_high),
            _value(row.second_value, row.second_low, row.second_high),
            signed(row.difference),
            "none" if np.isnan(row.difference_low) else signed_range(row.difference_low, row.difference_high),
            "" if np.isnan(row.q) else f"{row.q:.3g}",
        )
        for row in shown.itertuples()
    )
    return Table(head, rows, _choice(table))


def _choice(table: pd.DataFrame) -> str:
    """Which rows are shown of a long table; of differences that are all 0 none is the largest."""
    if len(table) <= _SHOWN:
        return ""
    if (table.difference == 0).all():
        return f"The first {_SHOWN} of {len(table)}; there is no difference in any of them."
    return f"The {_SHOWN} largest of {len(table)}."


def _value(value: float, low: float, high: float) -> str:
    return f"{value:.3g}" if np.isnan(low) else f"{value:.3g} ({low:.3g} to {high:.3g})"


def _maps(folders: Sequence[Folder], drawings: Path) -> Iterator[Section]:
    targets = {place.split("/")[1] for f in folders for place in f.made if place.startswith("heatmaps/")}
    for target in sorted(targets):
        maps = pictures.drawn(folders, target)
        subject = Subject(f"The same images: {target}", f"maps-{target}", f"images of {target}")
        if not (common := pictures.common_examples(maps)):
            yield Section("", "maps", (Prose("No example was drawn by two recipes or runs."),), subject)
            continue
        path = drawings / f"{target}.png"
        figures.save(pictures.side_by_side(maps), path)
        figure = Figure(path, _MAPS.format(len(common)), f"Class maps of the same examples of {target}")
        yield Section("", "maps", (figure,), subject)
