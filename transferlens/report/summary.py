"""The first chapter of the page, derived from what sections declare: numbers of all targets and recipes side
by side, and of each what helps, what hurts, what else is shown, what is not known, and how sure that is.
"""

import re
from collections.abc import Iterable, Iterator

from transferlens.core.blocks import (
    Column,
    Finding,
    Kind,
    Place,
    Prose,
    Section,
    Subject,
    Table,
    Verdict,
    Within,
)

SUBJECT = Subject("Summary", "summary", "Summary")
_KINDS: dict[Kind, str | Verdict] = {
    Kind.HELPS: Verdict("helps", True),
    Kind.HURTS: Verdict("hurts", False),
    Kind.SHOWN: "shown",
    Kind.UNKNOWN: "not known",
    Kind.CARE: "take care",
}
_FOUND_HEAD = (Column(""), Column("finding"), Column("how sure"), Column("where"))
_LEAD = (
    "Helps, hurts and shown: only what an interval, p- or q-value of a section establishes (shown: neither "
    "help nor harm). Not known: what was asked and not established, which does not mean that nothing is "
    "there. Every line says no more than its section, which tells how its number was made."
)
_BESIDE_NOTE = (
    "In brackets: 95 % intervals, each for one number; they do not compare two lines of this table. An empty "
    "cell was not asked, or is left out (see its section)."
)


def sections(given: Iterable[Section]) -> Iterator[Section]:
    """The sections of the summary of a page's sections; none where nothing is about a target."""
    about: dict[str, list[Section]] = {}
    for section in sorted(given, key=lambda section: section.place):
        if section.subject.about:
            about.setdefault(section.subject.about, []).append(section)
    found = {one: _found(of_one) for one, of_one in about.items()}
    if any(found.values()):
        yield Section("", "lead", (Prose(_LEAD),), SUBJECT, Place.HEADLINE)
    if columns := dict.fromkeys(card.name for of in about.values() for s in of for card in s.headline):
        table = _beside(about, list(columns))
        yield Section("Targets and recipes side by side", "side-by-side", (table,), SUBJECT)
    for one, rows in found.items():
        if rows:
            yield Section(one, _anchor(one), (Table(_FOUND_HEAD, rows),), SUBJECT)


def _anchor(about: str) -> str:
    """A target and recipe as the name of a heading in addresses; names hold no spaces."""
    return "of-" + re.sub(r"[ ()]+", "-", about).strip("-")


def _beside(about: dict[str, list[Section]], columns: list[str]) -> Table:
    """One row a target and recipe that has a number, one column a number that any of them has."""
    rows = []
    for one, of_one in about.items():
        known = {card.name: card for section in of_one for card in section.headline}
        if not known:
            continue
        cells = (
            f"{known[name].value} ({known[name].detail.removeprefix('95 % ')})" if name in known else ""
            for name in columns
        )
        rows.append((Within(one, of_one[0].subject.anchor), *cells))
    head = (Column("target (recipe)"), *(Column(name, number=True) for name in columns))
    return Table(head, tuple(rows), _BESIDE_NOTE)


def _found(of_one: list[Section]) -> tuple[tuple[str | Verdict | Within, ...], ...]:
    """What is found of a target and recipe, by kind, each with a link to its section."""
    told = [(finding, section) for section in of_one for finding in (*section.findings, *_cautions(section))]
    return tuple(
        (_KINDS[finding.kind], finding.text, finding.sure, _where(section))
        for finding, section in sorted(told, key=lambda one: one[0].kind)
    )


def _cautions(section: Section) -> Iterator[Finding]:
    """The warnings of a section that name its subject; the others are about all, and stand on the page."""
    for warning in section.warnings:
        if warning.startswith(section.subject.short):
            text = warning.removeprefix(section.subject.short).lstrip(":, ")
            yield Finding(Kind.CARE, text[:1].upper() + text[1:])


def _where(section: Section) -> Within:
    """A link to the section, or to its subject where it has no heading."""
    subject = section.subject
    if not section.title:
        return Within(subject.title, subject.anchor)
    return Within(section.title, f"{subject.anchor}-{section.anchor}")
