"""Figure and table of what removing blocks of source images does to one target by one recipe."""

from argparse import Namespace

from transferlens.core import files, job, labelled
from transferlens.counterfactual import figures, tables
from transferlens.counterfactual.artefacts import BLOCK_REMOVALS
from transferlens.pictures.figures import save


def main(arguments: Namespace) -> None:
    removed = labelled.read(arguments.block_removals, BLOCK_REMOVALS)
    drawn = figures.curves(removed, "blocks of source images")
    for path in (arguments.curves, arguments.curves_png):
        save(drawn, path, dpi=150)
    files.write_csv(arguments.curves_table, tables.counterfactual_table(removed))


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("block_removals")
    for name in ("curves", "curves_png", "curves_table"):
        script.writes(name)
    script.run(main)
