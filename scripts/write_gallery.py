"""Write the gallery of a study of memories: one HTML page that opens from disk."""

from argparse import Namespace

from transferlens.core import job
from transferlens.memories.gallery import html
from transferlens.memories.gallery.numbers import Study

TABLES = ("agreement", "remedies")


def main(arguments: Namespace) -> None:
    study = Study(arguments.probes, arguments.composites, arguments.interference, arguments.panels)
    tables = {name: getattr(arguments, name) for name in TABLES if getattr(arguments, name)}
    html.write_gallery(arguments.page, study, arguments.settings["title"], tables)


if __name__ == "__main__":
    script = job.Script(__doc__)
    for name in ("probes", "composites", "interference", "panels"):
        script.reads(name)
    for name in TABLES:
        script.reads(name, "its table", required=False)
    script.writes("page")
    script.run(main)
