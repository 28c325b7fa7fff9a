"""Class maps of the highest ranked examples and of composites: the gallery's rows and the paper's figure."""

from pathlib import Path

import numpy as np

from transferlens.core import job
from transferlens.core.config import InputSettings
from transferlens.data import index, pipeline
from transferlens.data.index import HALVES
from transferlens.memories import pairs
from transferlens.memories.effect import composites
from transferlens.memories.images import drawing, panels, rows
from transferlens.memories.kept import probes
from transferlens.training import device

FIGURE_CELLS = 3


def main(arguments):
    settings, place = arguments.settings, device.pick()
    temperature = float(probes.read_probes(arguments.probes).temperature[0])
    made = composites.read_composites(arguments.composites)
    images = [
        pipeline.open_images(beton, index.read_index(of).val, InputSettings.of(settings[key]), place)
        for key, beton, of in (
            ("source_input", arguments.source_val, arguments.source_index),
            ("input", arguments.val, arguments.index),
        )
    ]
    pair = next(pairs.pairs_of(arguments, settings, place))
    count = settings["examples"]
    gallery, figure = rows.natural(arguments.ranking, -(-count // 2), images[1]), None
    if len(made.table):
        cells = rows.read_cells(arguments.interference)
        chosen = rows.gallery_composites(made, cells, count // 2)
        if len(chosen):
            gallery += rows.of_composites(made, cells, chosen, *images)
        figure = figure_of(pair, made, cells, images, temperature)
    panels.write_panels(
        arguments.out,
        gallery,
        panels.panels(pair, gallery.rows, temperature),
        figure,
        made.source_names,
        made.target_names,
        signed=pair.fine_tuned.pools,
        skipped=made.skipped,
        config=settings,
        inputs=[
            *pairs.files_of(arguments),
            *(arguments.probes, arguments.composites, arguments.interference, arguments.ranking),
            *(arguments.source_index, arguments.index),
        ],
        device=device.name(place),
    )
    drawing.draw_figure(arguments.out, arguments.figure, settings["colormap"])
    drawing.draw_examples(arguments.out, arguments.examples, settings["colormap"])


def figure_of(pair, made, cells, images, temperature):
    """The paper's figure of the cells that interfere most on the select half; None if there are none."""
    shown = rows.figure_cells(cells, FIGURE_CELLS)
    if not shown:
        return None
    chosen = np.array([rows.typical_composite(made, cells, s, y) for s, y in shown])
    of_figure = rows.figure_rows(made, chosen, *images)
    place, target = np.array(shown).T
    report = (HALVES.index("report"), place, target)
    return panels.Figure(
        cells.source_class[place],
        target,
        *(getattr(cells, name)[report] for name in ("effect", "low", "high", "q")),
        of_figure,
        panels.panels(pair, of_figure, temperature),
    )


if __name__ == "__main__":
    parser = job.parser(__doc__)
    pairs.add_arguments(parser)
    for name in ("probes", "composites", "interference", "ranking"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--source-index", type=Path, required=True)
    parser.add_argument("--source-val", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True, help="of the target data set")
    parser.add_argument("--val", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--figure", type=Path, required=True, help="the paper's figure")
    parser.add_argument("--examples", type=Path, required=True, help="natural examples")
    job.run(main, parser)
