"""What the page says of influence maps: where in the image influences act."""

from collections.abc import Iterator

from transferlens.core.blocks import Figure, Results, Section, adaptation
from transferlens.core.run import Run


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe, if maps were made."""
    for wildcards in run.jobs_of("influence_maps"):
        target, recipe = wildcards["target"], wildcards["recipe"]
        maps = results.influence_maps(target, recipe)
        caption = (
            "What the most helpful and the most harmful source class of a target class (by the select half) "
            f"add to the evidence for it, cell by cell, averaged over {maps.attrs['models']} models: red "
            "adds, blue takes away. Left: each model's mean over the class's probe examples (report half); "
            "right: one example, and the t-value of each cell. Lines enclose cells with |t| > 3. The mean of "
            "a map is the influence on the logit above it (± standard error over models), of which the bias "
            f"part is the head's. Of all cells of class maps {maps.attrs['share']:.1%} have p < 0.05; with "
            f"masks given to other models {float(maps.permuted_share.mean()):.1%}."
        )
        picture = results.folder / "influence_maps" / target / f"{recipe}.png"
        alt = "Influence maps of the most helpful and the most harmful source classes"
        blocks = (Figure(picture, caption, alt),)
        yield Section("Where influences act", "influence-maps", blocks, adaptation(target, recipe))
