"""Pictures of what changes in networks on their way to a target by a recipe, and the numbers as a table."""

from argparse import Namespace

from transferlens.core import files, job, labelled
from transferlens.dynamics.pictures import curves, heatmaps, summaries, table
from transferlens.dynamics.told.artefacts import SIMILARITY
from transferlens.pictures.figures import save

_DRAWN = {
    "heatmap": heatmaps.heatmap,
    "curves": curves.curves,
    "paths": summaries.paths,
    "matrices": heatmaps.matrices,
    "metrics": heatmaps.metrics,
    "agreement": heatmaps.agreement,
    "gaps": curves.gaps,
    "classes": summaries.classes,
}


def main(arguments: Namespace) -> None:
    made = labelled.read(arguments.similarity, SIMILARITY)
    files.write_csv(arguments.table, table.table(made))
    for name, draw in _DRAWN.items():
        figure = draw(made)
        for path in (getattr(arguments, name), getattr(arguments, f"{name}_png")):
            save(figure, path, dpi=150)


if __name__ == "__main__":
    script = job.Script(__doc__)
    script.reads("similarity")
    for name in _DRAWN:
        script.writes(name)
        script.writes(f"{name}_png")
    script.writes("table")
    script.run(main)
