"""What the page says of retraining without blocks of source images."""

from collections.abc import Iterator

from transferlens.core.blocks import Figure, Results, Section, adaptation
from transferlens.core.run import Run
from transferlens.counterfactual import page
from transferlens.counterfactual.block_removals import study_of


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe: accuracy without blocks of images, and the gain at a chosen number."""
    for target, recipe in run.adaptations:
        if study_of(target, recipe) not in run.studies:
            continue
        images = run.settings.studies.examples.images_a_block
        removed = results.block_removals(target, recipe)
        caption = (
            f"Blocks of {images} source images of one class, ranked by their influence on the select half by "
            "the models of the study `examples`; accuracy is that of other models, on the report half. Bands "
            "are 95 % intervals over repeats, each for one k."
        )
        figure = Figure(
            results.folder / "report" / target / recipe / "block_removals.svg",
            caption,
            "Accuracy by the number of removed blocks of source images",
        )
        yield Section(
            "What really happens when source images are removed and the source is trained again",
            "block-removals",
            (figure, page.choices_table(removed)),
            adaptation(target, recipe),
            method="counterfactuals",
        )
