"""The HTML templates of all rooms, and the style that pages share."""

from pathlib import Path

import jinja2

_PACKAGE = Path(__file__).resolve().parents[1]


def template(place: str) -> jinja2.Template:
    """A template (path within the package) that escapes what it is given, and refuses unknown names."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_PACKAGE),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["signed"] = lambda x: f"{x:+.3g}"
    return environment.get_template(place)


def text(place: str) -> str:
    """A text file of the package: a style, or a script of a page."""
    return (_PACKAGE / place).read_text(encoding="utf-8")
