"""Write the gallery of a study of memories: one HTML page that opens from disk."""

from argparse import Namespace

from transferlens.core import job
from transferlens.memories.gallery import html
from transferlens.memories.gallery.numbers import Study
from transferlens.memories.seen import told

TABLES = ("agreement", "remedies")


def main(arguments: Namespace) -> None:
    study = Study(arguments.probes, arguments.composites, arguments.interference, arguments.panels)
    tables = {name: getattr(arguments, name) for name in TABLES if getattr(arguments, name)}
    first = arguments.settings["untested"] or told.headline(arguments.seen)
    html.write_gallery(arguments.page, study, arguments.settings["title"], first, tables)


if __name__ == "__main__":
    script = job.Script(__doc__)
    for name in ("probes", "composites", "interference", "panels"):
        script.reads(name)
    script.reads("seen", "models that saw a class against those that did not", required=False)
    for name in TABLES:
        script.reads(name, "its table", required=False)
    script.writes("page")
    script.run(main)
