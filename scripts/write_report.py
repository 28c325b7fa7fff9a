"""Write the HTML page of a results folder."""

from argparse import Namespace
from itertools import chain
from pathlib import Path

from transferlens.capabilities import run_of
from transferlens.core import job
from transferlens.report import frame, page
from transferlens.results import open_results


def main(arguments: Namespace) -> None:
    run, results = run_of(arguments.settings), open_results(arguments.results)
    sections = chain.from_iterable(capability.sections(run, results) for capability in run.capabilities)
    frame.write_page(arguments.page, run.settings.report.title, page.lead(run), sections)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.takes("results", type=Path, default=Path("results"), help="the folder that the page is about")
    script.writes("page")
    script.run(main)
