"""What the page says of scores: which can be believed here, and whether they see which class is missing."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from transferlens.core.blocks import (
    Block,
    Card,
    Cards,
    Figure,
    Prose,
    Results,
    Section,
    Subject,
    adaptation,
)
from transferlens.core.run import Run
from transferlens.transferability import findings
from transferlens.transferability.capability import LEAST_TARGETS
from transferlens.transferability.tables import (
    effects_table,
    main_pool,
    number,
    ranking_table,
    span,
    targets_table,
)


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe, then over targets."""
    for wildcards in run.jobs_of("transferability"):
        subject = adaptation(wildcards["target"], wildcards["recipe"])
        figures = results.folder / "report" / wildcards["target"] / wildcards["recipe"]
        yield _ranking(subject, results.transferability(**wildcards), figures, _few_targets(run, wildcards))
        if wildcards in run.jobs_of("score_influences"):
            yield _effects(subject, results.score_influences(**wildcards), figures)
    for wildcards in run.jobs_of("transferability_over_targets"):
        yield _over_targets(wildcards["recipe"], results.transferability_over_targets(**wildcards))


def _few_targets(run: Run, wildcards) -> str:
    """Why nothing is said of other targets; '' where something is."""
    targets = [w["target"] for w in run.jobs_of("transferability") if w["recipe"] == wildcards["recipe"]]
    if len(targets) >= LEAST_TARGETS:
        return ""
    return (
        f"Targets of this run that models are adapted to by {wildcards['recipe']}: {len(targets)}. An "
        f"interval over targets needs {LEAST_TARGETS}: what is said here of scores is of this target alone."
    )


def _ranking(subject: Subject, made: xr.Dataset, figures: Path, few_targets: str) -> Section:
    shown = main_pool(made)
    of = made.sel(pool=shown)
    blocks: list[Block] = [
        Prose(" ".join(findings.verdict(made.sel(pool=pool)) for pool in made.pool.values))
    ]
    if cards := ceiling_cards(made):
        blocks.append(cards)
    blocks += [ranking_table(made, of), *_figures(figures), *([Prose(few_targets)] if few_targets else [])]
    tests = int(np.isfinite(of.p).sum() + np.isfinite(made.gain_p).sum())
    warnings = tuple(_warnings(subject, of, few_targets))
    title = "Which score tells which source will transfer"
    return Section(
        title,
        "transferability",
        tuple(blocks),
        subject,
        warnings=warnings,
        method="transferability",
        tests=tests,
        findings=(findings.of_ranking(of),),
    )


def _figures(figures: Path) -> Iterator[Figure]:
    caption = (
        "Weighted tau of every ranker with the accuracy after transfer, pool by pool; number of models in "
        "brackets. Blue circles: scores; green diamonds: bounds; orange squares: rankers that do not look "
        "at the target. Filled: beats each of the latter (p < .05, Holm). The band is what random scores "
        "give."
    )
    yield Figure(
        figures / "transferability.svg", caption, "Rank agreement of scores and accuracy, with intervals"
    )
    clouds = "Accuracy after transfer against what each ranker says, a point for each source model."
    yield Figure(figures / "score_scatter.png", clouds, "Scatter plots of accuracy against each score")


def ceiling_cards(made: xr.Dataset) -> Cards | None:
    """How noisy accuracies are, as the most that source classes alone can tell of them."""
    words = {"repeated": "models of equal classes, other seeds", "reference": "models of the whole source"}
    cards = tuple(
        Card(
            f"the most that source classes alone can tell (Pearson), by {words[str(name)]}",
            number(made.ceiling[i]),
            f"95 % {span(made.ceiling_low[i], made.ceiling_high[i])}",
        )
        for i, name in enumerate(made.ceiling_from.values)
    )
    note = (
        "Of the models of study influence. A score looks at the very model that is transferred, and may see "
        "what is chance to its classes: for scores this is a landmark, no bound."
    )
    return Cards(cards, note) if cards else None


def _warnings(subject: Subject, of: xr.Dataset, few_targets: str) -> Iterator[str]:
    if missing := str(of.interval_missing.item()):
        yield f"{subject.short}: scores are ranked without intervals ({missing})."
    if few_targets:
        yield f"{subject.short}: scores are ranked on too few targets to speak of others."


def _effects(subject: Subject, made: xr.Dataset, figures: Path) -> Section:
    caption = (
        "Left: rank correlation of the influences of source classes on each score with those on the "
        "accuracy, of other models; on top that of accuracy with itself. Filled: p < .05 (Holm). Right: "
        "every influence over its standard error, from all models; classes are sorted by the influence on "
        "accuracy, a dot marks q < .05."
    )
    figure = Figure(figures / "score_influences.png", caption, "Influences of source classes on scores")
    compared = not made.attrs["folds_missing"]
    blocks = (Prose(findings.sees(made)), *((effects_table(made), figure) if compared else ()))
    title = "Does a score see which class is missing?"
    tests = int(np.isfinite(made.correlation_p).sum() + np.isfinite(made.effect_q).sum() + made.sizes["unit"])
    return Section(
        title,
        "score-influences",
        blocks,
        subject,
        method="influences-on-scores",
        tests=tests if compared else 0,
        findings=(findings.of_effects(made),),
    )


def _over_targets(recipe: str, made: xr.Dataset) -> Section:
    short = f"all targets ({recipe})"
    subject = Subject(f"All targets, recipe {recipe}", f"all-targets-{recipe}", short, short)
    shown = main_pool(made)
    of = made.sel(pool=shown)
    table = targets_table(of)
    title, tests = "Which score tells over targets", int(np.isfinite(of.targets_gain_p).sum())
    blocks = (Prose(findings.targets_verdict(of)), table)
    return Section(
        title,
        "over-targets",
        blocks,
        subject,
        method="transferability-over-targets",
        tests=tests,
        findings=(findings.over_targets(of),),
    )
