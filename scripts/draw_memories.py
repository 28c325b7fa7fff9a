"""Class maps of the highest ranked examples and of composites: the gallery's rows and the paper's figure."""

from argparse import Namespace

import numpy as np

from transferlens.core import job
from transferlens.core.settings import InputSettings
from transferlens.data import index, pipeline
from transferlens.data.artefacts import HALVES
from transferlens.memories import pairs
from transferlens.memories.effect import composites
from transferlens.memories.effect.composites import Composites
from transferlens.memories.images import drawing, panels, rows
from transferlens.memories.images.panels import Figure
from transferlens.memories.images.rows import Cells
from transferlens.memories.kept import probes
from transferlens.memories.pairs import Pair
from transferlens.training import device

FIGURE_CELLS = 3


def main(arguments: Namespace) -> None:
    settings, place = arguments.settings, device.pick()
    temperature = float(probes.read_probes(arguments.probes).temperatures("report")[0])
    made = composites.read_composites(arguments.composites)
    images = [
        pipeline.open_images(beton, index.read_index(of).val, InputSettings.read(settings[key]), place)
        for key, beton, of in (
            ("source_input", arguments.source_val, arguments.source_index),
            ("input", arguments.val, arguments.index),
        )
    ]
    pair = next(pairs.pairs_of(arguments, settings, place, "report"))
    names, count = (made.source_names, made.target_names), settings["examples"]
    gallery, figure = rows.natural(arguments.ranking, -(-count // 2), images[1], *names), None
    if len(made.table):
        cells = rows.read_cells(arguments.interference, made.source_names)
        chosen = rows.gallery_composites(made, cells, count // 2)
        if len(chosen):
            gallery += rows.of_composites(made, cells, chosen, *images)
        figure = figure_of(pair, made, cells, images, temperature)
    panels.write_panels(
        arguments.panels,
        gallery,
        panels.panels(pair, gallery.rows, temperature),
        figure,
        *names,
        signed=pair.fine_tuned.pools,
        skipped=made.skipped,
    )
    drawing.draw_figure(arguments.panels, arguments.figure, settings["colormap"])
    drawing.draw_examples(arguments.panels, arguments.examples, settings["colormap"])


def figure_of(
    pair: Pair, made: Composites, cells: Cells, images: list[pipeline.Images], temperature: float
) -> Figure | None:
    """The paper's figure of the cells that interfere most on the select half; None if there are none."""
    shown = rows.figure_cells(cells, FIGURE_CELLS)
    if not shown:
        return None
    chosen = np.array([rows.typical_composite(made, cells, s, y) for s, y in shown])
    of_figure = rows.figure_rows(made, chosen, *images)
    place, target = np.array(shown).T
    report = (HALVES.index("report"), place, target)
    return Figure(
        cells.source_class[place],
        target,
        *(getattr(cells, name)[report] for name in ("effect", "low", "high", "q")),
        of_figure,
        panels.panels(pair, of_figure, temperature),
    )


if __name__ == "__main__":
    script = job.Script(__doc__)
    pairs.add_arguments(script)
    for name in ("probes", "composites", "interference", "ranking"):
        script.reads(name)
    script.reads("source_index")
    script.reads("source_val")
    script.reads("index", "of the target data set")
    script.reads("val")
    script.writes("panels")
    script.writes("figure", "the paper's figure")
    script.writes("examples", "natural examples")
    script.run(main)
