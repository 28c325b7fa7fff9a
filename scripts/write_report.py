"""Write the HTML page of a results folder."""

from pathlib import Path

from transferlens import open_results
from transferlens.core import job
from transferlens.report import page


def main(arguments):
    settings = arguments.settings
    page.write_page(
        arguments.out,
        open_results(arguments.results),
        settings["title"],
        settings["output"],
        settings["datasets"],
        settings["source"],
        [tuple(pair) for pair in settings["adaptations"]],
        settings["studies"],
        settings["analyses"],
        settings["reuse"],
        settings["faithfulness"],
        settings["influence_maps"],
        [tuple(pair) for pair in settings["memories"]],
        settings["memory_tables"],
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    job.run(main, parser)
