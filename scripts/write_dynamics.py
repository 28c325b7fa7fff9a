"""Write the interactive page of what changes on the way to a target: one HTML page that opens from disk."""

from argparse import Namespace

from transferlens.core import job
from transferlens.dynamics.explorer import html


def main(arguments: Namespace) -> None:
    settings = arguments.settings
    html.write_page(
        arguments.page, arguments.similarity, arguments.units, settings["title"], settings["no_units"]
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("similarity")
    script.reads("units", "of the first model", required=False)
    script.writes("page")
    script.run(main)
