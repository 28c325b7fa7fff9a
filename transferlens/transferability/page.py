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
    signed,
)
from transferlens.core.run import Run
from transferlens.pictures.figures import SIGNIFICANT
from transferlens.transferability.candidates import STATIC
from transferlens.transferability.capability import LEAST_TARGETS
from transferlens.transferability.tables import (
    effects_table,
    main_pool,
    number,
    pool_words,
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
    blocks: list[Block] = [Prose(" ".join(verdict(made.sel(pool=pool)) for pool in made.pool.values))]
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


def verdict(of: xr.Dataset) -> str:
    """Which scores beat the best static ranker in a pool, in words."""
    start = f"{pool_words(str(of.pool.item()))}:"
    scores = of.sel(ranker=of.sort != STATIC)
    if not np.isfinite(scores.gain).any():
        return f"{start} no static ranker orders them that scores could be compared with."
    if not np.isfinite(scores.gain_p).any():
        reason = str(of.interval_missing.item()) or "errors are unknown"
        return f"{start} too few models to tell which scores beat the best static ranker ({reason})."
    beats = scores.title.values[(scores.gain_p_holm < SIGNIFICANT) & (scores.gain > 0)].tolist()
    worse = scores.title.values[scores.gain_high < 0].tolist()
    told = f"{', '.join(beats)} {'beat' if len(beats) > 1 else 'beats'} every static ranker" if beats else (
        "no score is shown to beat the best static ranker (gains of up to "
        f"{signed(np.nanmax(scores.gain_high))} in weighted tau are not excluded)"
    )  # fmt: skip
    behind = (
        f"; {', '.join(worse)} {'are' if len(worse) > 1 else 'is'} behind the best of them" if worse else ""
    )
    return f"{start} {told}{behind}."


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
    blocks = (Prose(sees(made)), *((effects_table(made), figure) if compared else ()))
    title = "Does a score see which class is missing?"
    tests = int(np.isfinite(made.correlation_p).sum() + np.isfinite(made.effect_q).sum() + made.sizes["unit"])
    return Section(
        title,
        "score-influences",
        blocks,
        subject,
        method="influences-on-scores",
        tests=tests if compared else 0,
    )


def sees(made: xr.Dataset) -> str:
    """Which scores see it, in words."""
    if missing := made.attrs["folds_missing"]:
        return (
            f"Influences on scores and on accuracy are not compared: {missing}. Those on each score, from "
            "all models, are in the table `influences.csv`."
        )
    scores = made.sel(ranker=made.sort != STATIC)
    found = scores.title.values[(scores.p_holm < SIGNIFICANT) & (scores.correlation > 0)].tolist()
    if not found:
        return (
            "No score is shown to see which source classes help: of none are the influences shown to agree "
            "with those on accuracy more than chance does (p < .05, Holm)."
        )
    return (
        f"{', '.join(found)}: source classes that raise the accuracy raise the score, too, more than chance "
        "does (p < .05, Holm)."
    )


def _over_targets(recipe: str, made: xr.Dataset) -> Section:
    subject = Subject(f"All targets, recipe {recipe}", f"all-targets-{recipe}", f"all targets ({recipe})")
    shown = main_pool(made)
    of = made.sel(pool=shown)
    table = targets_table(of)
    title, tests = "Which score tells over targets", int(np.isfinite(of.targets_gain_p).sum())
    blocks = (Prose(targets_verdict(of)), table)
    return Section(title, "over-targets", blocks, subject, method="transferability-over-targets", tests=tests)


def targets_verdict(of: xr.Dataset) -> str:
    """Which scores beat the best static ranker over models and over targets, in words."""
    scores = of.sel(ranker=of.sort != STATIC)
    certain = (scores.gain_p_holm < SIGNIFICANT) & (scores.targets_gain_p_holm < SIGNIFICANT)
    beats = scores.title.values[certain & (scores.gain > 0)].tolist()
    if beats:
        return f"{', '.join(beats)}: beats every static ranker for other models and for other targets."
    return (
        "No score is shown to beat the best static ranker both for other models on these targets and for "
        f"these models on other targets ({of.sizes['target']} targets; p < .05, Holm)."
    )
