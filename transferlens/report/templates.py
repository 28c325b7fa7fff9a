"""The HTML templates of this room."""

import jinja2


def template(name: str) -> jinja2.Template:
    """A template that escapes what it is given, and refuses names it does not know."""
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("transferlens", "report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )
    environment.filters["signed"] = lambda x: f"{x:+.3g}"
    return environment.get_template(name)
