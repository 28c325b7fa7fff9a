"""What the page says of detrimental memories; the gallery beside it has every example."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from transferlens.core import artefacts
from transferlens.core.blocks import (
    Block,
    Card,
    Cards,
    Figure,
    Link,
    Place,
    Prose,
    Results,
    Section,
    Subject,
    Warnings,
)
from transferlens.core.run import Run
from transferlens.memories import scope
from transferlens.memories.agreement.artefacts import AGREEMENT
from transferlens.memories.gallery import numbers
from transferlens.memories.remedies.artefacts import REMEDIES

_LEAD = (
    "What the fine-tuned model still recognises of its source classes, to which target classes that is "
    "bound, and where it pulls predictions away."
)
_GALLERY = "the matrix to click, and every example with what each model sees in it."
_INTERFERENCE = (
    "Net interference (report half): probability of the target class that is lost when its image is pasted "
    "on an image of the source class, beyond a scrambled background and beyond a model from scratch. A star "
    "marks q < 0.05 over models and images, a dot a pair that was tested; the other pairs are no findings. "
    "A frame is around the target class that the source class is bound to by the select half, a thick one "
    "where the report half confirms it. In hatched pairs the sign is that of the scrambled control; gray has "
    "no estimate."
)
_PANELS = (
    "Background, overlay and composite, as the source model, the fine-tuned model and the model from scratch "
    "see them: evidence for each model's own prediction, with its class and probability."
)
# By table: the heading, the caption of its picture, and what the picture shows.
_TABLES = {
    "agreement": (
        "Do influences and memories agree?",
        "What training on a source class does (its influence), against what seeing it does (interference, "
        "binding, coupling of weights), each by other models. They measure different things and need not "
        "agree.",
        "Agreement of class influences and interference",
    ),
    "remedies": (
        "What helps",
        "Interference, accuracy on clean images and retention, before and after each remedy, on the same "
        "composites, by other models than those that chose which classes a remedy uses. Intervals are over "
        "models and images.",
        "Remedies before and after",
    ),
}


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe with a study of memories: its numbers and pictures."""
    for target, recipe in scope.studied(run):
        folder = results.folder / "memories" / target / recipe
        subject = Subject(
            f"Detrimental memories: target {target}, recipe {recipe}",
            f"memories-{target}-{recipe}",
            f"Memories in {target} ({recipe})",
        )
        gallery = Link(f"{target}/{recipe}/memories.html", "Open the gallery", _GALLERY)
        yield Section(
            "",
            "headline",
            _overview(folder, gallery),
            subject,
            Place.HEADLINE,
            method="interference-and-binding",
            tests=numbers.tests(numbers.Study.of(folder)),
        )
        for name, (title, caption, alt) in _TABLES.items():
            if name in scope.tables(run):
                picture, count = Figure(folder / f"{name}.png", caption, alt), _tests(folder, name)
                yield Section(title, name, (picture,), subject, method=name, tests=count)


def _tests(folder: Path, name: str) -> int:
    """How many p- and q-values a table's picture shows."""
    declared, tested = {"agreement": (AGREEMENT, "correlation_p"), "remedies": (REMEDIES, "change_q")}[name]
    with artefacts.open(folder / f"{name}.h5", declared) as file:
        return int(np.isfinite(file[tested][:]).sum())


def _overview(folder: Path, gallery: Link) -> tuple[Block, ...]:
    study = numbers.Study.of(folder)
    warnings = tuple(numbers.warnings(study))
    told: tuple[Block, ...] = (Warnings(warnings),) if warnings else ()
    return (
        Prose(_LEAD),
        Cards(tuple(Card(*card) for card in numbers.headline(study))),
        *told,
        gallery,
        Figure(
            folder / "interference.png",
            _INTERFERENCE,
            "Matrix of interference, source classes by target classes",
        ),
        Figure(folder / "figure.png", _PANELS, "Background, overlay and composite as three models see them"),
    )
