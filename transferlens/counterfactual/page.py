"""What the page says of retraining: what the source is worth, and what happens without some classes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
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
from transferlens.counterfactual import checks, findings, tables
from transferlens.counterfactual.settings import CounterfactualStudy, ReuseStudy, removal_study
from transferlens.estimation.designs import FOLD_OVER
from transferlens.training.artefacts import METRICS

_FEW_REPEATS = 4
_REUSE = "Influences were estimated with the run's own architecture and recipe, then reused here."
_METHOD = "counterfactuals"
_CHOICES_HEAD = (
    Column("order of removal"),
    Column("k chosen on the select half", number=True),
    Column("splits that choose it", number=True),
    Column("gain on the report half", number=True),
    Column("95 % interval", number=True),
)
_GAIN = (
    "Gain: accuracy without the first k of the order minus accuracy from the full source, paired by initial "
    "weights and seed."
)
_CHOICES_NOTE = (
    _GAIN + " In every split of the repeats into halves, one half chooses k and the other one reports its "
    "gain there; the mean over splits is shown, with an interval over repeats. No model reports at a k that "
    "it had a say in. No claim is made of the highest point of a curve."
)
_CURVES = (
    "Classes are ranked by their influence on the select half; accuracy is on the report half. Bands are 95 "
    "% intervals over repeats, each for one k."
)
_SETS_HEAD = (
    Column("predictor of the change"),
    Column("correlation with the realised one", number=True),
    Column("95 % interval", number=True),
    Column("influences minus it", number=True),
    Column("95 % interval", number=True),
)
_SETS_NOTE = (
    "Predicted: sums over the set, of influences, of the images that full-source models put into each class, "
    "or the mere number of classes. Correlations within repeats; intervals over sets and the models without "
    "them, for these predictions. Nothing was chosen."
)
_STEPS_HEAD = (
    Column("order of removal"),
    Column("gain with fewer steps", number=True),
    Column("gain with as many", number=True),
    Column("95 % interval", number=True),
    Column("what the steps add", number=True),
    Column("95 % interval", number=True),
)


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe: accuracies, the check of the source, and removals."""
    for target, recipe in run.adaptations:
        if removal_study(target, recipe) not in run.studies:
            continue
        subject, figures = adaptation(target, recipe), results.folder / "report" / target / recipe
        counterfactual = results.counterfactual(target, recipe)
        yield _headline(run, subject, results, target, recipe, counterfactual)
        yield expectations.section(subject, checks.run_checks(counterfactual), _METHOD)
        output = run.section(CounterfactualStudy).output
        yield _removals(subject, counterfactual, figures, output)
        if "set_change" in counterfactual:
            yield _random_sets(subject, counterfactual, figures, output)
        if "step_order" in counterfactual.coords:
            yield _steps(subject, counterfactual)
        if reuse := run.settings.studies.reuse:
            alt = "Accuracy by the number of removed source classes, with another model"
            shown = Figure(figures / "reuse.svg", _REUSE, alt)
            title = f"The same removals with {_reuse_text(reuse)}"
            yield Section(title, "reuse", (shown,), subject, method=_METHOD)


def _reuse_text(reuse: ReuseStudy) -> str:
    """What influences are reused for, in words."""
    return reuse.architecture.described() + (f", recipe {reuse.recipe}" if reuse.recipe else "")


def _headline(
    run: Run,
    subject: Subject,
    results: Results,
    target: str,
    recipe: str,
    counterfactual: xr.Dataset,
) -> Section:
    """Report-half accuracies with intervals over models."""
    subsets = results.summary("influence", target, recipe, outputs=[]).accuracy.sel(half="report")
    report = counterfactual.sel(half="report")
    rows = [
        ("accuracy from the full source", mean_interval(report.full.values)),
        ("accuracy from scratch (random weights)", mean_interval(report.scratch.values)),
        ("accuracy from a random subset of classes", mean_interval(_of_draws(run, subsets.values))),
        ("gain of the full source over scratch", checks.full_minus_scratch(counterfactual)),
    ]
    cards = [Card(name, f"{interval.value:.3f}", interval_text(interval)) for name, interval in rows]
    if "pretrained" in run.studies:
        summary = results.summary("pretrained", target, recipe, outputs=[])
        accuracy = summary.accuracy.sel(half="report").values[summary.role.values == PRETRAINED]
        spread = interval_text(mean_interval(accuracy)) if len(accuracy) > 1 else "one model"
        cards.append(Card("accuracy from the pretrained weights", f"{accuracy.mean():.3f}", spread))
    metric = METRICS[results.summary("reference", target, recipe, outputs=[]).metric]
    note = (
        f"Accuracy is {metric}. All accuracies are on the report half of the target's evaluation images, "
        "which played no part in any choice. Intervals are over models (the unit that is repeated), for "
        "these images."
    )
    return Section(
        "",
        "headline",
        (Cards(tuple(cards), note),),
        subject,
        Place.HEADLINE,
        method=_METHOD,
        headline=(cards[0], cards[3]),
        findings=findings.of_source(checks.full_minus_scratch(counterfactual)),
    )


def _of_draws(run: Run, accuracies: np.ndarray) -> np.ndarray:
    """Accuracies [models] of random subsets by draw of masks: two complementary ones are a single draw."""
    paired = run.studies["influence"].masks["design"] in FOLD_OVER
    return accuracies.reshape(-1, 1 + paired).mean(1)


def _removals(subject: Subject, counterfactual: xr.Dataset, figures: Path, output: str) -> Section:
    alt = "Accuracy by the number of removed source classes"
    blocks: list[Block] = [
        Figure(figures / "counterfactual_curves.svg", _CURVES, alt),
        choices_table(counterfactual),
    ]
    if "removed_class" in counterfactual.coords:
        caption = (
            f"Classes removed one at a time, evenly spaced from the most harmful to the most helpful: the "
            f"change of the mean {output} that the influence predicts, by models that did not choose the "
            f"class, and the one that retraining gives (95 % bars, report half). "
            f"{singles_text(counterfactual)}"
        )
        alt = "Realised against predicted change without each source class"
        blocks.append(Figure(figures / "single_removals.svg", caption.strip(), alt))
    repeats = counterfactual.sizes["repeat"]
    few = f"{subject.short}: counterfactual intervals rest on {repeats} repeats and are wide."
    title = "What really happens when classes are removed and the source is trained again"
    warnings = (few,) if repeats < _FEW_REPEATS else ()
    return Section(
        title,
        "removals",
        tuple(blocks),
        subject,
        warnings=warnings,
        method=_METHOD,
        headline=findings.gains(counterfactual),
        findings=findings.of_removals(counterfactual),
    )


def choices_table(counterfactual: xr.Dataset) -> Table:
    """For every order of removal, the k that repeats choose and the gain of those that did not choose it."""
    if missing := counterfactual.attrs.get("best_gain_missing", ""):
        rows = tuple(
            (str(row["order"]), str(row["best_k"]), "", "left out", "")
            for row in tables.choice_table(counterfactual).to_dict("records")
        )
        return Table(_CHOICES_HEAD, rows, f"The gain at a chosen k is left out: {missing}.")
    rows = tuple(
        (
            str(row["order"]),
            str(row["best_k"]),
            f"{row['best_k_share']:.0%}",
            signed(row["best_gain_mean"]),
            signed_range(row["best_gain_mean_low"], row["best_gain_mean_high"]),
        )
        for row in tables.choice_table(counterfactual).to_dict("records")
    )
    return Table(_CHOICES_HEAD, rows, _CHOICES_NOTE)


def singles_text(counterfactual: xr.Dataset) -> str:
    """What single removals say of influences, where there are enough of them."""
    if missing := counterfactual.attrs.get("single_predicted_missing", ""):
        return f"The predictions are left out: {missing}."
    singles = {key.removeprefix("singles_"): value for key, value in counterfactual.attrs.items()}
    if singles.get("reliability") == 0:
        return "No line is fitted: the predictions differ from each other no more than their errors do."
    if "slope" not in singles:
        return ""
    return (
        f"Slope {singles['slope']:.2f} (95 % {singles['slope_low']:.2f} to {singles['slope_high']:.2f}, "
        f"over these classes), R² {singles['r_squared']:.2f} over {counterfactual.sizes['removed_class']} "
        "classes. "
        f"{singles['reliability']:.0%} of the predictions' variance is not estimation error; errors in them "
        "draw the slope towards zero."
    )


def _random_sets(subject: Subject, counterfactual: xr.Dataset, figures: Path, output: str) -> Section:
    """What influences and cheaper rivals predict of random sets, and what retraining gives."""
    sets, repeats = counterfactual.sizes["random_set"], counterfactual.sizes["repeat"]
    slope = [counterfactual.attrs[f"sets_slope{end}"] for end in ("", "_low", "_high")]
    caption = (
        f"{sets * repeats} random sets of classes removed together: the change of the mean {output} on the "
        "report half that the influences predict, from other models, and the one that retraining gives; both "
        f"minus the mean of their repeat. Slope {slope[0]:.2f} (95 % {slope[1]:.2f} to {slope[2]:.2f}); "
        "errors in the predictions draw it towards zero."
    )
    alt = "Realised against predicted change without random sets of source classes"
    rows = tuple(_predictor_row(counterfactual.sel(predictor=p)) for p in counterfactual.predictor.values)
    blocks = (Figure(figures / "random_sets.svg", caption, alt), Table(_SETS_HEAD, rows, _SETS_NOTE))
    title = "Do influences predict what random sets of classes do?"
    return Section(title, "random-sets", blocks, subject, method="rivals")


def _predictor_row(one: xr.Dataset) -> tuple[str, ...]:
    """How well a predictor does on random sets, and how far the influences surpass it."""
    name = str(one.predictor.item())
    own = (signed(one.set_correlation), signed_range(one.set_correlation_low, one.set_correlation_high))
    if name == "influence":
        return (name, *own, "", "")
    beyond = signed_range(one.set_advantage_low, one.set_advantage_high)
    return (name, *own, signed(one.set_advantage), beyond)


def _steps(subject: Subject, counterfactual: xr.Dataset) -> Section:
    """Removals at one k, with fewer steps and with as many as the full source takes."""
    k = int(counterfactual.attrs["step_k"])
    rows = []
    for order in counterfactual.step_order.values:
        one = counterfactual.sel(step_order=order)
        usual = counterfactual.sel(order=order, k=k, half="report")
        rows.append(
            (
                str(order),
                signed(usual.gain_mean),
                signed(one.step_gain_mean),
                signed_range(one.step_gain_mean_low, one.step_gain_mean_high),
                signed(one.step_difference_mean),
                signed_range(one.step_difference_mean_low, one.step_difference_mean_high),
            )
        )
    verdicts = [_steps_verdict(counterfactual, order) for order in counterfactual.step_order.values]
    note = (
        f"Without {k} classes a model takes fewer optimiser steps in the same epochs; here it also takes as "
        f"many as the full source, by further passes over fewer images. {_GAIN} k is set beforehand, in the "
        f"configuration. {' '.join(verdicts)}"
    )
    title = "Does the effect survive equal numbers of steps?"
    return Section(title, "steps", (Table(_STEPS_HEAD, tuple(rows), note),), subject, method=_METHOD)


def _steps_verdict(counterfactual: xr.Dataset, order: str) -> str:
    """What the interval of the gain with as many steps allows to be said of an order."""
    one = counterfactual.sel(step_order=order)
    low, high = float(one.step_gain_mean_low), float(one.step_gain_mean_high)
    if low <= 0 <= high:
        return f"{order}: with as many steps, no gain or loss is established."
    return f"{order}: a {'gain' if low > 0 else 'loss'} is there with as many steps, too."
