"""The HTML page: one file that opens from disk without a network. It holds its pictures, unless they are so
many that it would open slowly: then they stay in their files, and are loaded when they come into view.

Its script (report/page.js) only adds: without it everything is there, open and in the order it was given.
"""

import base64
import os
import urllib.parse
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from jinja2.utils import markupsafe

from transferlens.core import files
from transferlens.core.blocks import Block, Figure, Section, Subject, Table
from transferlens.pictures import templates

EMBEDDED_BYTES = 6_000_000  # of pictures that a page holds: with twice as many it opens in seconds
_BESIDE = " Its pictures lie in files beside it: pass on the whole results folder."
LEVEL = 0.05  # below which p- and q-values are marked


@dataclass(frozen=True)
class Chapter:
    """The sections of a subject, in the order of the page."""

    subject: Subject
    sections: list[Section]


def write_page(
    path: Path, title: str, lead: str, sections: Iterable[Section], methods: Collection[str] = ()
) -> None:
    """Write sections of any capabilities as one file, with the pictures in it if they are not too large.

    Args:
        lead: a line under the title.
        sections: in the order of capabilities; the page's order is that of `chapters`.
        methods: the anchors of the page of methods beside this one (`report.methods`), for sections to link.
    """
    sections = list(sections)
    beside = path if _picture_bytes(sections) > EMBEDDED_BYTES else None
    html = templates.template("report/page.html.jinja").render(
        title=title,
        lead=lead + _BESIDE if beside else lead,
        chapters=chapters(sections),
        warnings=list(dict.fromkeys(warning for section in sections for warning in section.warnings)),
        tests=tests_text(sum(section.tests for section in sections)),
        methods=methods,
        style=templates.text("pictures/page.css") + templates.text("report/page.css"),
        program=templates.text("pictures/page.js") + templates.text("report/page.js"),
        words=words,
        beside=beside,
        picture=partial(picture, beside=beside),
        kind=lambda block: type(block).__name__,
    )
    with files.replace_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")


def tests_text(tests: int) -> str:
    """How many tests a page holds, and how many of them would seem to find something by chance alone."""
    if not tests:
        return ""
    return (
        f"This page holds {tests:,} tests. If nothing were there at all, about {tests * LEVEL:,.3g} p-values "
        f"would lie below {LEVEL} by chance; the q-values bound the expected share of false ones among those "
        f"marked (q < {LEVEL}) to {100 * LEVEL:.0f} % within each table."
    )


def chapters(sections: Iterable[Section]) -> list[Chapter]:
    """Subjects in the order of their first sections; in each, sections by their place, then as given.

    Sections with the same subject and anchor become one.
    """
    merged: dict[tuple[Subject, str], Section] = {}
    for section in sections:
        key = section.subject, section.anchor
        merged[key] = _joined(merged[key], section) if key in merged else section
    subjects = dict.fromkeys(subject for subject, _ in merged)
    return [
        Chapter(subject, sorted((s for s in merged.values() if s.subject == subject), key=lambda s: s.place))
        for subject in subjects
    ]


def _joined(one: Section, other: Section) -> Section:
    """A section with the blocks of both; a table with the head of an earlier one continues it."""
    blocks = list(one.blocks)
    for block in other.blocks:
        place = _table_with_head(blocks, block)
        if place is None:
            blocks.append(block)
        else:
            table = blocks[place]
            note = " ".join(dict.fromkeys(filter(None, (table.note, block.note))))
            blocks[place] = replace(table, rows=table.rows + block.rows, note=note)
    return replace(
        one,
        blocks=tuple(blocks),
        warnings=one.warnings + other.warnings,
        method=one.method or other.method,
        tests=one.tests + other.tests,
    )


def _table_with_head(blocks: list[Block], table: Block) -> int | None:
    """The place of the table whose head is that of `table`."""
    for place, block in enumerate(blocks):
        if isinstance(block, Table) and isinstance(table, Table) and block.head == table.head:
            return place
    return None


def words(text: str) -> markupsafe.Markup:
    """A text, escaped; what stands between backticks is set as code."""
    parts = str(markupsafe.escape(text)).split("`")
    if len(parts) % 2 == 0:  # a backtick without its pair stands for itself
        return markupsafe.escape(text)
    return markupsafe.Markup("".join(f"<code>{p}</code>" if i % 2 else p for i, p in enumerate(parts)))


def _picture_bytes(sections: list[Section]) -> int:
    """Of the pictures of a page; a PNG takes four thirds of its bytes."""
    shown = [block.path for section in sections for block in section.blocks if isinstance(block, Figure)]
    return sum(path.stat().st_size * (3 + (path.suffix == ".png")) // 3 for path in shown)


def picture(path: Path, alt: str, beside: Path | None = None) -> markupsafe.Markup:
    """A picture in the page: an SVG's root element (HTML takes no prologue), or a PNG's data; or, `beside` a
    page, its address from there.
    """
    label = markupsafe.escape(alt)
    if beside:
        address = urllib.parse.quote(Path(os.path.relpath(path, beside.parent)).as_posix())
        return markupsafe.Markup(f'<img src="{address}" alt="{label}" loading="lazy">')
    if path.suffix == ".svg":
        text = path.read_text(encoding="utf-8")
        root = text[text.index("<svg") :].replace("<svg", f'<svg role="img" aria-label="{label}"', 1)
        return markupsafe.Markup(root)
    data = base64.b64encode(path.read_bytes()).decode()
    return markupsafe.Markup(f'<img src="data:image/png;base64,{data}" alt="{label}">')
