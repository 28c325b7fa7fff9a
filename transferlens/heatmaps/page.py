"""What the page says of class maps: where in the image it shows."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from transferlens.core import labelled
from transferlens.core.blocks import Figure, Results, Section, adaptation
from transferlens.core.run import Run

if TYPE_CHECKING:
    import xarray as xr

_HURT = (
    "The report-half examples that a source class hurts most for sure, as half of the models have it (upper "
    "end of the 95 % interval). {} "
    "Evidence for the true and the predicted target class, for the predicted class rather than the true or "
    "second best one (target head), and for the harmful source class (source head) in one full-source model."
)
_FAITHFULNESS = (
    "How well such maps show what predictions depend on: pixels are deleted or inserted in the order of each "
    "method's map, over report-half images, against random maps and a spot in the centre. Bars are 95 % "
    "intervals over images, of one model: they say nothing of other models."
)


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe: the most hurt examples, and how faithful such maps are."""
    for target, recipe in run.adaptations:
        blocks = (*_hurt(run, results, target, recipe), *_faithfulness(run, results, target, recipe))
        if blocks:
            subject = adaptation(target, recipe)
            yield Section("Where it shows", "maps", blocks, subject, method="influences")


def _hurt(run: Run, results: Results, target: str, recipe: str) -> Iterator[Figure]:
    if {"target": target, "recipe": recipe} in run.jobs_of("heatmaps"):
        heatmaps = results.heatmaps(target, recipe)
        yield Figure(
            results.folder / "heatmaps" / target / f"{recipe}.png",
            f"{_HURT.format(_told(heatmaps))} {map_colours(heatmaps)}",
            "Class activation maps of the examples most hurt by a source class",
        )


def _told(heatmaps: "xr.Dataset") -> str:
    """What the influences above the pictures are."""
    if missing := heatmaps.attrs["effect_missing"]:
        return f"How much it does is not reported, as no other models can tell ({missing})."
    return "The influence above a picture is what the other half of the models says of that pair."


def _faithfulness(run: Run, results: Results, target: str, recipe: str) -> Iterator[Figure]:
    if {"target": target, "recipe": recipe} in run.jobs_of("faithfulness"):
        yield Figure(
            results.folder / "faithfulness" / target / f"{recipe}.png",
            _FAITHFULNESS,
            "Deletion, insertion and average drop of class maps",
        )


def map_colours(heatmaps: "xr.Dataset") -> str:
    """What the colours of the gallery of class maps mean."""
    if labelled.settings(heatmaps)["colormap"] == "jet":
        return "Each panel has its own scale: colours cannot be compared between panels."
    if heatmaps.attrs["signed"]:
        return "One scale for each head: red is evidence for the class, blue against it."
    return "One scale for each head; only positive evidence is shown: bright is more."
