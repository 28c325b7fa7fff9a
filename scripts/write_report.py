"""Write the HTML page of a results folder."""

from itertools import chain
from pathlib import Path

from transferlens import open_results
from transferlens.analyses import page as analyses
from transferlens.core import job
from transferlens.counterfactual import page as counterfactual
from transferlens.heatmaps import page as heatmaps
from transferlens.influence import page as influence
from transferlens.influence_maps import page as influence_maps
from transferlens.memories import page as memories
from transferlens.report import page, run_page

# The order of sections on the page.
CAPABILITIES = (influence, counterfactual, heatmaps, influence_maps, analyses, memories, run_page)


def main(arguments):
    run, results = arguments.settings, open_results(arguments.results)
    sections = chain.from_iterable(capability.sections(run, results) for capability in CAPABILITIES)
    page.write_page(arguments.out, run["title"], run_page.lead(run), sections)


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
