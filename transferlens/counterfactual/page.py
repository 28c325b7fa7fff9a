"""What the page says of retraining: what the source is worth, and what happens without some classes."""

from collections.abc import Iterator
from pathlib import Path

import xarray as xr

from transferlens.core import checks as expectations
from transferlens.core.blocks import (
    Block,
    Card,
    Cards,
    Column,
    Figure,
    Place,
    Results,
    Section,
    Subject,
    Table,
    adaptation,
    interval_text,
    signed,
    signed_range,
)
from transferlens.core.run import Run
from transferlens.core.statistics import mean_interval
from transferlens.core.studies import PRETRAINED
from transferlens.counterfactual import checks, tables
from transferlens.counterfactual.settings import ReuseStudy, removal_study

_FEW_REPEATS = 4
_REUSE = "Influences were estimated with the run's own architecture and recipe, then reused here."
_METRICS = {
    "global": "the share of examples that are classified correctly",
    "per_class": "the mean over target classes of the share that is classified correctly",
}
_CHOICES_HEAD = (
    Column("order of removal"),
    Column("k chosen on the select half", number=True),
    Column("gain on the report half", number=True),
    Column("95 % interval", number=True),
)
_CHOICES_NOTE = (
    "Gain: accuracy without the k classes minus accuracy from the full source, paired by initial weights and "
    "seed."
)
_CURVES = (
    "Classes are ranked by their influence on the select half; accuracy is on the report half. Bands are 95 "
    "% intervals over repeats."
)


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe: accuracies, the check of the source, and removals."""
    for target, recipe in run.adaptations:
        if removal_study(target, recipe) not in run.studies:
            continue
        subject, figures = adaptation(target, recipe), results.folder / "report" / target / recipe
        counterfactual = results.counterfactual(target, recipe)
        yield _headline(subject, results, target, recipe, counterfactual, "pretrained" in run.studies)
        yield expectations.section(subject, checks.run_checks(counterfactual))
        yield _removals(subject, counterfactual, figures, run.settings.report.output)
        if reuse := run.settings.studies.reuse:
            alt = "Accuracy by the number of removed source classes, with another model"
            shown = Figure(figures / "reuse.svg", _REUSE, alt)
            yield Section(f"The same removals with {_reuse_text(reuse)}", "reuse", (shown,), subject)


def _reuse_text(reuse: ReuseStudy) -> str:
    """What influences are reused for, in words."""
    network = reuse.architecture
    width = f", width {network.width}" if network.name == "small_resnet" else ""
    return network.name + width + (f", recipe {reuse.recipe}" if reuse.recipe else "")


def _headline(
    subject: Subject,
    results: Results,
    target: str,
    recipe: str,
    counterfactual: xr.Dataset,
    pretrained: bool,
) -> Section:
    """Report-half accuracies with intervals over models."""
    subsets = results.summary("influence", target, recipe, outputs=[]).accuracy.sel(half="report")
    report = counterfactual.sel(half="report")
    rows = [
        ("accuracy from the full source", mean_interval(report.full.values)),
        ("accuracy from scratch (random weights)", mean_interval(report.scratch.values)),
        ("accuracy from a random subset of classes", mean_interval(subsets.values)),
        ("gain of the full source over scratch", checks.full_minus_scratch(counterfactual)),
    ]
    cards = [Card(name, f"{interval.value:.3f}", interval_text(interval)) for name, interval in rows]
    if pretrained:
        summary = results.summary("pretrained", target, recipe, outputs=[])
        accuracy = summary.accuracy.sel(half="report").values[summary.role.values == PRETRAINED]
        spread = interval_text(mean_interval(accuracy)) if len(accuracy) > 1 else "one model"
        cards.append(Card("accuracy from the pretrained weights", f"{accuracy.mean():.3f}", spread))
    metric = _METRICS[results.summary("reference", target, recipe, outputs=[]).metric]
    note = (
        f"Accuracy is {metric}. All accuracies are on the report half of the target's evaluation images, "
        "which played no part in any choice. Intervals are over models (the unit that is repeated), for "
        "these images."
    )
    return Section("", "headline", (Cards(tuple(cards), note),), subject, Place.HEADLINE)


def _removals(subject: Subject, counterfactual: xr.Dataset, figures: Path, output: str) -> Section:
    alt = "Accuracy by the number of removed source classes"
    blocks: list[Block] = [
        Figure(figures / "counterfactual_curves.svg", _CURVES, alt),
        choices_table(counterfactual),
    ]
    if "removed_class" in counterfactual.coords:
        caption = (
            f"Classes removed one at a time: the change of the mean {output} that the influence predicts, "
            f"and the one that retraining gives (95 % bars, report half). {singles_text(counterfactual)}"
        )
        alt = "Realised against predicted change without each source class"
        blocks.append(Figure(figures / "single_removals.svg", caption.strip(), alt))
    repeats = counterfactual.sizes["repeat"]
    few = f"{subject.short}: counterfactual intervals rest on {repeats} repeats and are wide."
    title = "What really happens when classes are removed and the source is trained again"
    warnings = (few,) if repeats < _FEW_REPEATS else ()
    return Section(title, "removals", tuple(blocks), subject, warnings=warnings)


def choices_table(counterfactual: xr.Dataset) -> Table:
    """For every order of removal, k chosen on the select half and its gain on the report half."""
    rows = tuple(
        (
            str(row["order"]),
            str(row["best_k"]),
            signed(row["best_gain_mean"]),
            signed_range(row["best_gain_mean_low"], row["best_gain_mean_high"]),
        )
        for row in tables.choice_table(counterfactual).to_dict("records")
    )
    return Table(_CHOICES_HEAD, rows, _CHOICES_NOTE)


def singles_text(counterfactual: xr.Dataset) -> str:
    """What single removals say of influences, where there are enough of them."""
    singles = {key.removeprefix("singles_"): value for key, value in counterfactual.attrs.items()}
    if "slope" not in singles:
        return ""
    return (
        f"Slope {singles['slope']:.2f} (95 % {singles['slope_low']:.2f} to {singles['slope_high']:.2f}), "
        f"R² {singles['r_squared']:.2f} over {counterfactual.sizes['removed_class']} classes. "
        f"{singles['reliability']:.0%} of the predictions' variance is not estimation error; errors in them "
        "draw the slope towards zero."
    )
