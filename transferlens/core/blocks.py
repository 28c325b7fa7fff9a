"""What a capability gives to the page: sections made of a few kinds of blocks, for the frame to lay out.

Texts are plain: the frame escapes them, and only sets what stands between backticks as code.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any, Protocol

from transferlens.core.statistics import Interval

_LEAST_P = 1e-4  # smaller ones are not told apart: they rest on the far tails of the distributions assumed


@dataclass(frozen=True)
class Card:
    """A number with its name above and its interval, or another detail, below."""

    name: str
    value: str
    detail: str = ""


@dataclass(frozen=True)
class Cards:
    """Numbers side by side, and a note under them."""

    cards: tuple[Card, ...]
    note: str = ""


@dataclass(frozen=True)
class Column:
    """The head of a table's column; numbers stand to the right."""

    name: str
    number: bool = False


@dataclass(frozen=True)
class Verdict:
    """A cell that says whether something holds."""

    text: str
    holds: bool


@dataclass(frozen=True)
class Within:
    """A cell that leads to a heading of the same page, by its name in addresses."""

    text: str
    anchor: str


@dataclass(frozen=True)
class Table:
    """Rows of cells under a head (none for names and their values), and a note under them.

    Raises:
        ValueError: a row has not as many cells as the head.
    """

    head: tuple[Column, ...]
    rows: tuple[tuple[str | Verdict | Within, ...], ...]
    note: str = ""

    def __post_init__(self) -> None:
        for row in self.rows if self.head else ():
            if len(row) != len(self.head):
                raise ValueError(f"{len(row)} cells under {len(self.head)} columns: {row}")


@dataclass(frozen=True)
class Figure:
    """A picture (`.svg` or `.png`, put into the page), its caption, and words for who cannot see it."""

    path: Path
    caption: str
    alt: str


@dataclass(frozen=True)
class Link:
    """A way to another page, relative to this one, and what is there."""

    address: str
    text: str
    note: str = ""


@dataclass(frozen=True)
class Warnings:
    """What a reader must know before using the numbers beside them."""

    texts: tuple[str, ...]


@dataclass(frozen=True)
class Prose:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Details:
    """A long text, shown as it is, that opens under its summary."""

    summary: str
    text: str


Block = Cards | Table | Figure | Link | Warnings | Prose | Details


@dataclass(frozen=True)
class Subject:
    """What several sections speak of.

    Attributes:
        title: the heading above them.
        anchor: the name of the heading in addresses.
        short: the title in the page's navigation.
        about: under which the summary tells of it: a target and recipe, a target whatever the recipe, or all
            targets; '' if it is about none.
    """

    title: str
    anchor: str
    short: str
    about: str = ""


class Place(IntEnum):
    """Where a section stands in its subject; within a place, sections keep the order of capabilities."""

    HEADLINE = 0
    CHECKS = 1
    BODY = 2


class Kind(IntEnum):
    """What a finding says of a target, in the order of the summary."""

    HELPS = 0
    HURTS = 1
    SHOWN = 2  # established, and neither help nor harm
    UNKNOWN = 3
    CARE = 4


@dataclass(frozen=True)
class Finding:
    """What a section found, for the page's summary, in a sentence that claims no more than the section does.

    Attributes:
        sure: how sure it is: its interval, and p or q; '' if there is no number.
    """

    kind: Kind
    text: str
    sure: str = ""


@dataclass(frozen=True)
class Section:
    """Blocks under one heading.

    Sections of several capabilities with the same subject and anchor are one on the page, where the first of
    them stands; their tables with equal heads are one table.

    Attributes:
        title: the heading; '' for blocks that follow their subject's heading.
        anchor: the name of the heading in addresses, within the subject.
        warnings: what a reader must know before using any number, told at the head of the page.
        method: where docs/statistics.md says what its numbers mean: the anchor of a heading; '' for nowhere.
        tests: how many hypotheses it tests: the p- and q-values that are shown, or counted in what is shown.
        headline: its numbers for the table of all targets and recipes, where its subject is about one.
        findings: what of it the summary tells; warnings that name the subject are told there unasked.
    """

    title: str
    anchor: str
    blocks: tuple[Block, ...]
    subject: Subject
    place: Place = Place.BODY
    warnings: tuple[str, ...] = ()
    method: str = ""
    tests: int = 0
    headline: tuple[Card, ...] = ()
    findings: tuple[Finding, ...] = ()


class Results(Protocol):
    """An opened results folder, as `transferlens.open_results` gives it (it stands on a floor above)."""

    folder: Path

    def __getattr__(self, artefact: str) -> Callable[..., Any]: ...


def adaptation(target: str, recipe: str) -> Subject:
    """The subject of all that is known of a target and recipe."""
    short = adapted(target, recipe)
    return Subject(f"Target {target}, recipe {recipe}", f"{target}-{recipe}", short, short)


def adapted(target: str, recipe: str) -> str:
    """A target and recipe in short."""
    return f"{target} ({recipe})"


def signed(value: float) -> str:
    """Three digits with a sign, never an exponent."""
    value = float(value)
    if math.isfinite(value) and 0 < abs(value) < 1e-4:
        return f"{value:+.{2 - math.floor(math.log10(abs(value)))}f}".rstrip("0")
    return f"{value:+,.0f}" if 999.5 <= abs(value) < math.inf else f"{value:+.3g}"


def signed_range(low: float, high: float) -> str:
    """The ends of an interval of a signed number, to the last digit of the one that lies further from 0."""
    return f"{_rounded(low, low, high)} to {_rounded(high, low, high)}"


def signed_estimate(value: float, low: float, high: float) -> str:
    """A signed number with its interval in brackets, all to the same digit."""
    return f"{_rounded(value, low, high)} ({signed_range(low, high)})"


def _rounded(value: float, low: float, high: float) -> str:
    """A number to the third digit of the end of its interval that lies further from 0."""
    largest = max(abs(float(low)), abs(float(high)))
    if not (math.isfinite(largest) and largest > 0):
        return signed(value)
    # Adding 0 makes no 0 a negative one.
    return signed(round(float(value), 2 - math.floor(math.log10(largest))) + 0.0)


def p_value(value: float) -> str:
    """A p- or q-value in two digits; '' where there is none."""
    if math.isnan(value):
        return ""
    return "< 0.0001" if value < _LEAST_P else f"{float(value):.2g}"


def interval_text(interval: Interval) -> str:
    """An interval under its number."""
    return f"95 % {float(interval.low):.3f} to {float(interval.high):.3f}"
