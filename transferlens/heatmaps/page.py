"""What the page says of class maps: where in the image it shows."""

from collections.abc import Iterator

from transferlens.core.blocks import Figure, Results, RunFacts, Section, adaptation

_HURT = (
    "The report-half examples that a source class hurts most for sure (upper end of the 95 % interval). "
    "Evidence for the true and the predicted target class, for the predicted class rather than the true or "
    "second best one (target head), and for the harmful source class (source head) in one full-source model."
)
_FAITHFULNESS = (
    "How well such maps show what predictions depend on: pixels are deleted or inserted in the order of each "
    "method's map, over report-half images, against random maps and a spot in the centre. Bars are 95 % "
    "intervals over images."
)


def sections(run: RunFacts, results: Results) -> Iterator[Section]:
    """Of every target and recipe: the most hurt examples, and how faithful such maps are."""
    for target, recipe in run["adaptations"]:
        colours = map_colours(results.heatmaps(target, recipe).attrs)
        hurt = Figure(
            results.folder / "heatmaps" / target / f"{recipe}.png",
            f"{_HURT} {colours}",
            "Class activation maps of the examples most hurt by a source class",
        )
        faithfulness = Figure(
            results.folder / "faithfulness" / target / f"{recipe}.png",
            _FAITHFULNESS,
            "Deletion, insertion and average drop of class maps",
        )
        blocks = (hurt, faithfulness) if run["faithfulness"] else (hurt,)
        yield Section("Where it shows", "maps", blocks, adaptation(target, recipe))


def map_colours(attributes: dict) -> str:
    """What the colours of the gallery of class maps mean."""
    if attributes["config"]["colormap"] == "jet":
        return "Each panel has its own scale: colours cannot be compared between panels."
    if attributes["signed"]:
        return "One scale for each head: red is evidence for the class, blue against it."
    return "One scale for each head; only positive evidence is shown: bright is more."
