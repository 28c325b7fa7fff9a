"""What the numbers of a page mean: docs/statistics.md as a page beside it, for sections to link."""

import re
from collections.abc import Iterator
from pathlib import Path

from jinja2.utils import markupsafe
from markdown_it import MarkdownIt
from markdown_it.token import Token

from transferlens.core import files
from transferlens.pictures import templates

_TITLE = "Statistics"
_MISSING = "This copy of the project lacks its page on statistics, `docs/statistics.md`."
_ELSEWHERE = re.compile(r"\w+:|#")


def write_methods(path: Path, explained: Path | None) -> set[str]:
    """Write a Markdown file as a page that needs no network; returns the anchors of its headings.

    Args:
        explained: None where there is none: the page then says so.
    """
    text = f"# {_TITLE}\n\n{_MISSING}\n" if explained is None else explained.read_text(encoding="utf-8")
    tokens = _parser().parse(text)
    anchors = set(_name_headings(tokens))
    html = templates.template("report/methods.html.jinja").render(
        title=_TITLE,
        body=markupsafe.Markup(_parser().renderer.render(tokens, _parser().options, {})),
        style=templates.text("pictures/page.css"),
    )
    with files.replace_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
    return anchors


def anchor(heading: str) -> str:
    """The name of a heading in addresses, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def _parser() -> MarkdownIt:
    """CommonMark with tables; HTML in the text is shown as text."""
    return MarkdownIt("commonmark", {"html": False}).enable("table")


def _name_headings(tokens: list[Token]) -> Iterator[str]:
    """Give headings their anchors, and take links away that lead to other files of the project."""
    for token, inline in zip(tokens, [*tokens[1:], None], strict=True):
        if token.type == "heading_open":
            token.attrSet("id", anchor(inline.content))
            yield token.attrs["id"]
        if token.type == "inline":
            token.children = list(_without_files(token.children))


def _without_files(children: list[Token]) -> Iterator[Token]:
    """Words of a line, those of links to files without the link, those of images in place of them."""
    dropped = False
    for child in children:
        if child.type == "link_open":
            dropped = not _ELSEWHERE.match(str(child.attrs["href"]))
        if child.type == "image":
            yield Token("text", "", 0, content=child.content)
        elif not (dropped and child.type in ("link_open", "link_close")):
            yield child
