"""What the page says of scores: which can be believed here, and whether they see which class is missing."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import xarray as xr

from transferlens.core.blocks import (
    Block,
    Card,
    Cards,
    Column,
    Figure,
    Prose,
    Results,
    Section,
    Subject,
    Table,
    adaptation,
    signed,
    signed_range,
)
from transferlens.core.run import Run
from transferlens.pictures.figures import SIGNIFICANT
from transferlens.training.artefacts import METRICS
from transferlens.transferability.candidates import STATIC
from transferlens.transferability.capability import LEAST_TARGETS
from transferlens.transferability.measures import CHOICE, MAIN
from transferlens.transferability.ranking import WITHIN

_HEAD = (
    Column("ranker"),
    Column("weighted tau (95 %)", number=True),
    Column("one model left out", number=True),
    Column("p (Holm)", number=True),
    Column("over the best static (95 %)", number=True),
    Column("p (Holm)", number=True),
    Column("tau-b", number=True),
    Column("Spearman", number=True),
    Column("Pearson", number=True),
    Column("regret@1", number=True),
    Column(f"regret of {CHOICE} (95 %)", number=True),
    Column("ms a model", number=True),
)
_NOTE = (
    "Ranked are {candidates} source models ({draws} independent draws). Accuracy is {metric}, after "
    "transfer, mean of both halves of the {images} evaluation images; scores see the target's training "
    "images only. Weighted tau: scipy's, in which the best weigh most; of random scores it lies within "
    "{low:.2f} to {high:.2f} in 95 of 100 cases. Intervals leave out draws of models in turn; p and Holm's "
    "correction are over the scores. Over the best static: the weighted tau minus that of the best of the "
    "rankers that do not look at the target; which one that is was not chosen: a score gains over the best "
    "where it gains over each. Regret@1: accuracy lost by taking the model with the highest score, a fact "
    "of these models without an interval; regret of {choice}: its mean over all choices among {choice} of "
    "them. All pools and all intervals: `ranking.csv`."
)
_EFFECTS_HEAD = (
    Column("score"),
    Column("agreement with influences on accuracy (95 %)", number=True),
    Column("p (Holm)", number=True),
    Column("of what is reachable (95 %)", number=True),
    Column("agreement with itself (95 %)", number=True),
    Column("classes with q < .05", number=True),
)
_EFFECTS_NOTE = (
    "Agreement: rank correlation over the {units} source classes of their influences on the score, from one "
    "half of the draws of models, with those on the accuracy, from the other half, and the other way round; "
    "models that tell of the score never tell of the accuracy. Accuracy agrees with itself by {ceiling}; "
    "reachable is the root of that. Intervals are over source classes, p by exchanging them at random. q: "
    "Benjamini-Hochberg over all classes and scores."
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
        f"{len(targets)} of this run's targets are adapted to by {wildcards['recipe']}, and an interval "
        f"over targets needs {LEAST_TARGETS}: what is said here of scores is of this target alone."
    )


def main_pool(made: xr.Dataset) -> str:
    """The pool whose table is shown: candidates of one network that differ by source classes, if there
    are.
    """
    known = made.pool.values.tolist()
    return next((name for name in (WITHIN, "influence", "all") if name in known), known[0])


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
    start = f"{_pool_words(str(of.pool.item()))}:"
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


def _pool_words(name: str) -> str:
    if name == WITHIN:
        return "All models, within their networks"
    return "All models" if name == "all" else f"Models of {name}"


def ranking_table(made: xr.Dataset, of: xr.Dataset) -> Table:
    """A row for each ranker of a pool."""
    rows = [_row(of.sel(ranker=name)) for name in of.ranker.values]
    chance = f"{float(of.chance_low):+.2f} to {float(of.chance_high):+.2f}"
    rows.append(("random scores", f"0 ({chance})", *[""] * 10))
    note = _NOTE.format(
        candidates=int(of.candidates),
        draws=int(of.draws),
        metric=METRICS[made.metric],
        images=made.images,
        low=float(of.chance_low),
        high=float(of.chance_high),
        choice=CHOICE,
    )
    left_out = [f"{r.title.item()}: {r.missing.item()}" for r in _each(of) if r.missing.item()]
    partly = [
        f"{r.title.item()}: {r.reason.item()}" for r in _each(of) if r.reason.item() and not r.missing.item()
    ]
    if left_out or partly:
        note += f" Without numbers, or of a part of the models: {'; '.join([*left_out, *partly])}."
    return Table(_HEAD, tuple(rows), f"{_pool_words(str(of.pool.item()))}. {note}")


def _each(of: xr.Dataset) -> Iterator[xr.Dataset]:
    return (of.sel(ranker=name) for name in of.ranker.values)


def _row(one: xr.Dataset) -> tuple[str, ...]:
    measures = {str(name): one.sel(measure=name) for name in one.measure.values}
    plain = (_number(measures[name].agreement) for name in ("tau", "spearman", "pearson"))
    left_out = _range(one.least_without_one, one.most_without_one)
    seconds = float(one.seconds)
    return (
        str(one.title.item()),
        _estimate(measures[MAIN], "agreement"),
        left_out,
        _p(one.p if one.sort == STATIC else one.p_holm),
        _estimate(one, "gain"),
        _p(one.gain_p_holm),
        *plain,
        _number(measures["regret"].agreement, 3),
        _estimate(measures[f"regret of {CHOICE}"], "agreement", 3),
        f"{1000 * seconds:.3g}" if np.isfinite(seconds) else "",
    )


def _number(value: xr.DataArray | float, digits: int = 2) -> str:
    return f"{float(value):.{digits}f}" if np.isfinite(value) else "–"


def _range(low: xr.DataArray, high: xr.DataArray, digits: int = 2) -> str:
    return f"{float(low):.{digits}f} to {float(high):.{digits}f}" if np.isfinite(low) else ""


def _estimate(one: xr.Dataset, name: str, digits: int = 2) -> str:
    """A number with its interval, if it has one."""
    ends = _range(one[f"{name}_low"], one[f"{name}_high"], digits)
    return _number(one[name], digits) + (f" ({ends})" if ends else "")


def _p(value: xr.DataArray) -> str:
    return f"{float(value):.2g}" if np.isfinite(value) else ""


def ceiling_cards(made: xr.Dataset) -> Cards | None:
    """How noisy accuracies are, as the most that source classes alone can tell of them."""
    words = {"repeated": "models of equal classes, other seeds", "reference": "models of the whole source"}
    cards = tuple(
        Card(
            f"the most that source classes alone can tell (Pearson), by {words[str(name)]}",
            _number(made.ceiling[i]),
            f"95 % {_range(made.ceiling_low[i], made.ceiling_high[i])}",
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
    blocks = (Prose(sees(made)), effects_table(made), figure)
    title = "Does a score see which class is missing?"
    tests = int(np.isfinite(made.correlation_p).sum() + np.isfinite(made.effect_q).sum() + made.sizes["unit"])
    return Section(title, "score-influences", blocks, subject, method="influences-on-scores", tests=tests)


def sees(made: xr.Dataset) -> str:
    """Which scores see it, in words."""
    if missing := made.attrs["folds_missing"]:
        return f"Influences on scores and on accuracy are not compared: {missing}."
    scores = made.sel(ranker=made.sort != STATIC)
    found = scores.title.values[(scores.p_holm < SIGNIFICANT) & (scores.correlation > 0)].tolist()
    if not found:
        return (
            "No score is shown to see which source classes help: its influences agree with those on "
            "accuracy no more than chance does (p < .05, Holm)."
        )
    return (
        f"{', '.join(found)}: source classes that raise the accuracy raise the score, too, more than chance "
        "does (p < .05, Holm)."
    )


def effects_table(made: xr.Dataset) -> Table:
    """A row for each score."""
    rows = tuple(_effects_row(made.sel(ranker=name)) for name in made.ranker.values)
    ceiling = _estimate(made, "ceiling")
    note = _EFFECTS_NOTE.format(units=made.sizes["unit"], ceiling=ceiling)
    left_out = [f"{r.title.item()}: {r.missing.item()}" for r in _each(made) if r.missing.item()]
    return Table(_EFFECTS_HEAD, rows, note + (f" Left out: {'; '.join(left_out)}." if left_out else ""))


def _effects_row(one: xr.Dataset) -> tuple[str, ...]:
    significant = int((one.effect_q < SIGNIFICANT).sum())
    return (
        str(one.title.item()),
        _estimate(one, "correlation"),
        _p(one.correlation_p if one.sort == STATIC else one.p_holm),
        _estimate(one, "of_reachable"),
        _estimate(one, "reliability"),
        "" if one.missing.item() else str(significant),
    )


_TARGETS_HEAD = (
    Column("ranker"),
    Column("mean weighted tau", number=True),
    Column("95 % over models", number=True),
    Column("95 % over targets", number=True),
    Column("over the best static", number=True),
    Column("95 % over models", number=True),
    Column("95 % over targets", number=True),
    Column("p over targets (Holm)", number=True),
    Column("least to most of a target", number=True),
)


def _over_targets(recipe: str, made: xr.Dataset) -> Section:
    subject = Subject(f"All targets, recipe {recipe}", f"all-targets-{recipe}", f"all targets ({recipe})")
    shown = main_pool(made)
    of = made.sel(pool=shown)
    table = Table(_TARGETS_HEAD, tuple(_targets_row(one) for one in _each(of)), _targets_note(of))
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


def _targets_row(one: xr.Dataset) -> tuple[str, ...]:
    by_target = one.by_target.values
    known = np.isfinite(by_target).all()
    return (
        str(one.title.item()),
        _number(one.sel(measure=MAIN).agreement),
        _range(one.sel(measure=MAIN).agreement_low, one.sel(measure=MAIN).agreement_high),
        _range(one.over_targets_low, one.over_targets_high),
        signed(one.gain) if np.isfinite(one.gain) else "",
        signed_range(one.gain_low, one.gain_high) if np.isfinite(one.gain_low) else "",
        signed_range(one.targets_gain_low, one.targets_gain_high)
        if np.isfinite(one.targets_gain_low)
        else "",
        _p(one.targets_gain_p_holm),
        f"{by_target.min():.2f} to {by_target.max():.2f}" if known else "",
    )


def _targets_note(of: xr.Dataset) -> str:
    return (
        f"{_pool_words(str(of.pool.item()))}, on {_listed(of.target.values)}. Intervals over models are for "
        "other models on these targets; intervals over targets for these models on other targets, as far as "
        "these are drawn from them. Neither covers both: believe the wider."
    )


def _listed(names: Sequence[str]) -> str:
    return ", ".join(map(str, names))
