"""Write the HTML page of a results folder."""

from argparse import Namespace
from itertools import chain
from pathlib import Path

from transferlens.capabilities import run_of
from transferlens.core import job
from transferlens.report import frame, methods, page, summary
from transferlens.results import open_results


def main(arguments: Namespace) -> None:
    run, results = run_of(arguments.settings), open_results(arguments.results)
    given = list(chain.from_iterable(capability.sections(run, results) for capability in run.capabilities))
    sections = [*summary.sections(given), *given]
    explained = methods.write_methods(arguments.methods, arguments.explained)
    frame.write_page(arguments.page, run.settings.report.title, page.lead(run), sections, explained)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.takes("results", type=Path, default=Path("results"), help="the folder that the page is about")
    script.reads("explained", "what the numbers mean, in Markdown", required=False)
    script.writes("page")
    script.writes("methods", "the same beside the page")
    script.run(main)
