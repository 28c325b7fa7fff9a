"""What the page says of influence maps: where in the image influences act."""

from collections.abc import Iterator

import xarray as xr

from transferlens.core.blocks import Figure, Results, Section, adaptation
from transferlens.core.run import Run


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe, if maps were made."""
    for wildcards in run.jobs_of("influence_maps"):
        target, recipe = wildcards["target"], wildcards["recipe"]
        maps = results.influence_maps(target, recipe)
        caption = _caption(maps)
        picture = results.folder / "influence_maps" / target / f"{recipe}.png"
        alt = "Influence maps of the most helpful and the most harmful source classes"
        blocks = (Figure(picture, caption, alt),)
        yield Section(
            "Where influences act",
            "influence-maps",
            blocks,
            adaptation(target, recipe),
            method="influence-maps",
        )


def _caption(maps: xr.Dataset) -> str:
    """What the picture shows, and how many cells of all stored maps are told from nothing."""
    if "shown_missing" in maps.attrs:
        shown = ""
    else:
        shown = (
            "What the most helpful and the most harmful source class of a target class add to the evidence "
            f"for it, cell by cell, averaged over the {maps.attrs['showing_models']} models that did not "
            "choose them (the others chose, on the select half): red adds, blue takes away. Left: each "
            "model's mean over the class's probe examples (report half); right: one example, and the t-value "
            "of each cell. Lines enclose cells with |t| > 3. The mean of a map is the influence on the logit "
            "above it (± standard error over models), of which the bias part is the head's. "
        )
    return (
        f"{shown}Of all cells of class maps (all {maps.attrs['models']} models, nothing chosen) "
        f"{maps.attrs['share']:.1%} have p < 0.05; with masks given to other models "
        f"{float(maps.permuted_share.mean()):.1%}."
    )
