"""The interactive page of one target and recipe: one file that opens from disk, without a network."""

from pathlib import Path

from transferlens.core import artefacts, files, labelled
from transferlens.dynamics.explorer.content import content
from transferlens.dynamics.explorer.units import units as of_units
from transferlens.dynamics.told.artefacts import SIMILARITY
from transferlens.pictures import embedded, templates

WARNINGS = (
    "Similarity to step 0 says how far a layer's representation of these images moved. It does not say what "
    "was forgotten, nor what was gained.",
    "Values of different layers have different null levels and references: compare a layer with its own "
    "random start, its own other seeds and its own null, not with another layer.",
    "Intervals of one model are over batches of images: they speak of this model. The interval of the mean "
    "is over models: it speaks of other models, on these images.",
)


def write_page(path: Path, similarity: Path, units: Path | None, title: str, no_units: str) -> None:
    """Write the page.

    Args:
        similarity: SIMILARITY of the target and recipe.
        units: their UNITS; None where units were not looked at, as the page then says in words: `no_units`.
    """
    made = labelled.read(similarity, SIMILARITY)
    shown = {"missing": no_units} if units is None else of_units(units, made.layer.values.tolist())
    missing = [made.attrs[key] for key in ("band_missing", "gap_missing") if made.attrs[key]]
    with artefacts.open(similarity, SIMILARITY) as file:
        html = templates.template("dynamics/explorer/explorer.html.jinja").render(
            title=title,
            warnings=[*WARNINGS, *missing],
            provenance=embedded.provenance(file, "similarities told"),
            data=embedded.script_json({**content(made), "units": shown}),
            style=templates.text("pictures/page.css") + templates.text("dynamics/explorer/explorer.css"),
            program=templates.text("pictures/page.js") + templates.text("dynamics/explorer/explorer.js"),
        )
    with files.replace_file(path) as temporary:
        temporary.write_text(html, encoding="utf-8")
