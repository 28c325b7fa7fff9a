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
    adapted,
)
from transferlens.core.run import Run
from transferlens.memories import findings, scope
from transferlens.memories.gallery import numbers
from transferlens.memories.images import told as images
from transferlens.memories.seen import told
from transferlens.memories.words import words

_METHOD = "interference-and-binding"
# What the picture of each table tests.
_TESTED = {"agreement": "correlation_p", "remedies": "change_q"}

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
# By table: the heading, the caption of its picture, what the picture shows, and where its method is told.
_TABLES = {
    "agreement": (
        "Do influence and interference agree?",
        "What training on a source class does (its influence), against what seeing it does (interference, "
        "binding, coupling of weights), each by other models. They measure different things and need not "
        "agree.",
        "Agreement of class influences and interference",
        "agreement",
    ),
    "remedies": (
        "What helps",
        "Interference, accuracy on clean images and retention, before and after each remedy, on the same "
        "composites, by other models than those that chose which classes a remedy uses. Intervals are over "
        "models and images.",
        "Remedies before and after",
        "remedies",
    ),
}


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe with a study of memories: its numbers and pictures."""
    for target, recipe in scope.studied(run):
        said = words(run)
        folder = results.folder / "memories" / target / recipe
        subject = Subject(
            f"{said.title}: target {target}, recipe {recipe}",
            f"memories-{target}-{recipe}",
            f"{said.short}: {adapted(target, recipe)}",
            adapted(target, recipe),
        )
        study = numbers.Study.of(folder)
        gallery = Link(f"{target}/{recipe}/memories.html", "Open the gallery", _GALLERY)
        tested = (target, recipe) in scope.tested(run)
        first = said.untested or told.headline(folder / "seen.h5")
        yield Section(
            "",
            "headline",
            _overview(folder, first, gallery),
            subject,
            Place.HEADLINE,
            method=told.METHOD if tested else _METHOD,
            tests=numbers.tests(study),
            headline=findings.headline(study),
            findings=findings.findings(study, folder / "seen.h5" if tested else None),
        )
        if tested:
            yield told.section(folder / "seen.h5", subject)
        yield images.section(folder / "ranking.h5", subject)
        for name, (title, caption, alt, method) in _TABLES.items():
            if name in scope.tables(run):
                shown = Figure(folder / f"{name}.png", caption, alt)
                tests = _finite(folder / f"{name}.h5", _TESTED[name])
                yield Section(title, name, (shown,), subject, method=method, tests=tests)


def _finite(path: Path, name: str) -> int:
    """How many values of an array of an artefact are known."""
    with artefacts.open(path) as file:
        return int(np.isfinite(file[name][:]).sum())


def _overview(folder: Path, first: str, gallery: Link) -> tuple[Block, ...]:
    study = numbers.Study.of(folder)
    warnings = tuple(numbers.warnings(study))
    doubts: tuple[Block, ...] = (Warnings(warnings),) if warnings else ()
    return (
        Prose(first),
        Prose(_LEAD),
        Cards(tuple(Card(*card) for card in numbers.headline(study))),
        *doubts,
        gallery,
        Figure(
            folder / "interference.png",
            _INTERFERENCE,
            "Matrix of interference, source classes by target classes",
        ),
        Figure(folder / "figure.png", _PANELS, "Background, overlay and composite as three models see them"),
    )
