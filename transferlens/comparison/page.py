"""What the page says of recipes compared: what is recommended and how sure that is, measure by measure."""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from transferlens.comparison import findings, scope
from transferlens.comparison.compared import tables
from transferlens.comparison.compared.steps import with_parts
from transferlens.comparison.harm import page as harm
from transferlens.comparison.tuning import page as tuning
from transferlens.core.blocks import (
    Block,
    Card,
    Cards,
    Column,
    Figure,
    Place,
    Prose,
    Results,
    Section,
    Subject,
    Table,
    p_value,
)
from transferlens.core.run import Run
from transferlens.training.artefacts import METRICS

METHOD = "recipes"
# With fewer models the degrees of freedom are one; of fewer images a share is known to a tenth at best.
LEAST_MODELS, FEW_IMAGES = 3, 100
_PARETO = (
    "Accuracy on the target (report half) against the mean change of linear probes' accuracy on the source "
    "and the other data sets that are probed, with 95 % intervals over models and images. Blue: no other "
    "recipe is at least as good in both and better in one; such a recipe may be there by chance."
)
_RATES = (
    "Accuracy on the target, and the mean change of linear probes' accuracy, by the number of training "
    "images; bands are 95 % intervals over models and images, dashed is from scratch. All sizes share their "
    "models and evaluation images, and each has its own tuning."
)


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every whole target; its parts with fewer images are told beside it."""
    for target in scope.targets(run):
        if target in run.targets:
            yield from _of_target(run, results, target)


def _of_target(run: Run, results: Results, target: str) -> Iterator[Section]:
    made = results.comparison(target)
    subject = Subject(f"Recipes on {target}", f"recipes-{target}", f"recipes on {target}", target)
    yield recommendation(made, subject)
    yield Section("Recipes by measures", "measures", tuple(measured(made)), subject, method=METHOD)
    yield differing(made, subject)
    picture = results.folder / "comparison" / target / "pareto.png"
    pareto = Figure(picture, _PARETO, "Accuracy on the target against forgetting, a mark a recipe")
    yield Section("Accuracy against forgetting", "pareto", (pareto,), subject, method=METHOD)
    if run.targets[target].sizes:
        yield _by_images(run, results, target, subject)
    if made.sizes["left_out"]:
        yield Section("Left out", "left-out", (left_out(made),), subject)
    yield from _other_parts(run, results, target, subject)


def recommendation(made: xr.Dataset, subject: Subject) -> Section:
    """What is recommended, how sure that is, and what would make it surer."""
    best = made.isel(recipe=int(np.flatnonzero(made.recipe.values == made.recommended)[0]))
    accuracy = best.sel(measure="accuracy")
    cards = (
        Card("recommended", str(best.base.item()), f"of {int((~made.from_scratch).sum())} recipes"),
        _card("accuracy on the report half", accuracy, "value", "{:.3f}"),
        Card("ranks first in", tables.percent(best.best_share), "of resamples of the select half"),
        _card("gained by choosing, over the plain recipe", made, "chosen_gain", "{:+.3f}"),
    )
    blocks: tuple[Block, ...] = (
        Cards(cards, _note(made)),
        Prose(made.why),
        Prose(made.surer),
        tables.ranking(made),
    )
    return Section(
        "",
        "recommendation",
        blocks,
        subject,
        Place.HEADLINE,
        warnings=tuple(_warnings(made, subject)),
        method=METHOD,
        tests=_known(made.ahead_holm) + _known(made.chosen_gain_p),
        findings=(findings.of_choice(made),),
    )


def _card(title: str, made: xr.Dataset, name: str, form: str) -> Card:
    """A number and its interval."""
    value, low, high = (form.format(float(made[name + end])) for end in ("", "_low", "_high"))
    return Card(title, value, "no interval" if "nan" in low else f"95 % {low} to {high}")


def _note(made: xr.Dataset) -> str:
    p = float(made.chosen_gain_p)
    of_gain = made.chosen_gain_missing or f"p {p_value(p)}"
    return (
        f"Accuracy is {METRICS[made.metric]}: {made.models} models, {made.images} images of the report half, "
        f"{made.train_images:,} training images. Gained by choosing ({of_gain}): each model is adapted by "
        "the recipe that the other models rank first on the select half. Models that choose and report are "
        "the same in the other numbers, so that the accuracy of the recommended recipe is rather too high."
    )


def _warnings(made: xr.Dataset, subject: Subject) -> Iterator[str]:
    if made.models < LEAST_MODELS:
        yield (
            f"{subject.short}: fewer than {LEAST_MODELS} models report, so that intervals are very wide and "
            "hardly any recipe can be told from another."
        )
    if made.images < FEW_IMAGES:
        yield f"{subject.short}: only {made.images} images report; small differences cannot be seen."


def measured(made: xr.Dataset) -> Iterator[Block]:
    """Every recipe's numbers, a table for each group of measures."""
    for title in tables.GROUPS:
        yield Prose(f"{title}.{_explained(made, title)}")
        yield tables.values(made, tables.shown(made, title))
        if title == tables.FORGETTING and made.sizes["probed"] > 2:
            yield tables.forgetting(made)


def _explained(made: xr.Dataset, title: str) -> str:
    """What a reader must know of a group of measures."""
    if title == tables.TRANSFER:
        worst = (
            f" The class that is worst from scratch (on the select half): {made.worst_class}."
            if made.worst_class
            else ""
        )
        return (
            f"{worst} Negative transfer: right from scratch, wrong after fine-tuning, by models of one "
            "repeat; positive transfer is the other way round. The row of models from scratch is the floor: "
            "how often one is right where another is wrong, which training again does by itself."
        )
    if title == tables.FORGETTING:
        return (
            " Fresh linear probes on the features after minus before; negative: forgotten. Retention asks "
            "the source's own head instead: what it loses beyond the probes is a head that no longer fits, "
            "not lost knowledge."
        )
    if title == tables.COST:
        return (
            " Multiples of a step of plain fine-tuning. Intervals of seconds are over rounds of timing on "
            "this machine, by turns with the plain recipe, and not over models; memory is measured once."
        )
    return " Calibration errors have intervals over models alone, for these images."


def differing(made: xr.Dataset, subject: Subject) -> Section:
    """Differences to the plain recipe."""
    groups = [tables.shown(made, title) for title in tables.GROUPS if title != tables.COST]
    note = Prose(
        f"Each recipe minus {made.base.values[0]}, paired by model and image; in brackets 95 % intervals, p "
        "after Holm over the recipes of a measure, a star below .05. 0 without p: not one answer differs. "
        "Differences of retention, of calibration errors and of what corruption takes are over models alone, "
        "for these images."
    )
    shown = tuple(tables.differences(made, measures) for measures in groups)
    tests = sum(tables.tested(made, measures) for measures in groups)
    return Section(
        "Differences to plain fine-tuning", "differences", (note, *shown), subject, method=METHOD, tests=tests
    )


def _by_images(run: Run, results: Results, target: str, subject: Subject) -> Section:
    """Sampling rates: the target and its parts with fewer images."""
    comparisons = [results.comparison(name) for name in with_parts(run, target)]
    picture = results.folder / "comparison" / target / "rates.png"
    figure = Figure(picture, _RATES, "Accuracy and forgetting against training images, a line a recipe")
    blocks = (figure, tables.by_images(comparisons), *_reasons(comparisons))
    tests = sum(_known(made.chosen_gain_p) for made in comparisons[:-1])
    return Section("By training images", "rates", blocks, subject, method=METHOD, tests=tests)


def _reasons(comparisons: Sequence[xr.Dataset]) -> Iterator[Prose]:
    """How sure each size's recommendation is."""
    for made in comparisons[:-1]:
        yield Prose(f"{made.train_images:,} training images: {made.why}")


def left_out(made: xr.Dataset) -> Table:
    """Recipes that could not be had, with the reason."""
    head = (Column("recipe"), Column("why it is left out"))
    return Table(head, tuple(zip(made.left_out.values, made.left_out_reason.values, strict=True)))


def _other_parts(run: Run, results: Results, target: str, subject: Subject) -> Iterator[Section]:
    """How recipes were tuned, and what harmful classes do under them."""
    if blocks := tuple(tuning.blocks(run, results, target)):
        yield Section("How recipes were tuned", "tuning", blocks, subject, method=METHOD)
    if blocks := tuple(harm.blocks(run, results, target)):
        title, tests = "Harmful source classes, recipe by recipe", harm.tests(run, results, target)
        yield Section(title, "harm", blocks, subject, method=METHOD, tests=tests)


def _known(p: xr.DataArray) -> int:
    """How many p-values there are."""
    return int(np.isfinite(p).sum())
