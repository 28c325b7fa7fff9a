"""Tables of the page: rankers of a pool, what scores see of source classes, and means over targets."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from transferlens.core.blocks import Column, Table, p_value, signed, signed_range
from transferlens.pictures.figures import SIGNIFICANT
from transferlens.training.artefacts import METRICS
from transferlens.transferability.candidates import STATIC
from transferlens.transferability.measures import CHOICE, MAIN
from transferlens.transferability.ranking import WITHIN

_HEAD = (
    Column("ranker"),
    Column("weighted tau (95 %)", number=True),
    Column("one model left out", number=True),
    Column("p (Holm)", number=True),
    Column("over the best static (95 %)", number=True),
    Column("p (Holm)", number=True),
    Column("tau-b, Spearman, Pearson", number=True),
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


def main_pool(made: xr.Dataset) -> str:
    """The pool whose table is shown: if there are, candidates of one network that differ by classes."""
    known = made.pool.values.tolist()
    return next((name for name in (WITHIN, "influence", "all") if name in known), known[0])


def pool_words(name: str) -> str:
    """A pool in the words of a sentence."""
    if name == WITHIN:
        return "All models, within their networks"
    return "All models" if name == "all" else f"Models of {name}"


def ranking_table(made: xr.Dataset, of: xr.Dataset) -> Table:
    """A row for each ranker of a pool."""
    rows = [_row(of.sel(ranker=name)) for name in of.ranker.values]
    chance = f"{float(of.chance_low):+.2f} to {float(of.chance_high):+.2f}"
    rows.append(("random scores", f"0 ({chance})", *[""] * 8))
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
    return Table(_HEAD, tuple(rows), f"{pool_words(str(of.pool.item()))}. {note}")


def _each(of: xr.Dataset) -> Iterator[xr.Dataset]:
    return (of.sel(ranker=name) for name in of.ranker.values)


def _row(one: xr.Dataset) -> tuple[str, ...]:
    measures = {str(name): one.sel(measure=name) for name in one.measure.values}
    plain = [number(measures[name].agreement) for name in ("tau", "spearman", "pearson")]
    left_out = span(one.least_without_one, one.most_without_one)
    seconds = float(one.seconds)
    return (
        str(one.title.item()),
        estimate(measures[MAIN], "agreement"),
        left_out,
        p_value(one.p if one.sort == STATIC else one.p_holm),
        estimate(one, "gain"),
        p_value(one.gain_p_holm),
        ", ".join(plain) if np.isfinite(measures["tau"].agreement) else "–",
        number(measures["regret"].agreement, 3),
        estimate(measures[f"regret of {CHOICE}"], "agreement", 3),
        f"{1000 * seconds:.3g}" if np.isfinite(seconds) else "",
    )


def number(value: xr.DataArray | float, digits: int = 2) -> str:
    """A number, or a dash where there is none."""
    return f"{float(value):.{digits}f}" if np.isfinite(value) else "–"


def span(low: xr.DataArray, high: xr.DataArray, digits: int = 2) -> str:
    """The ends of an interval; '' where there are none."""
    return f"{float(low):.{digits}f} to {float(high):.{digits}f}" if np.isfinite(low) else ""


def estimate(one: xr.Dataset, name: str, digits: int = 2) -> str:
    """A number with its interval, if it has one."""
    ends = span(one[f"{name}_low"], one[f"{name}_high"], digits)
    return number(one[name], digits) + (f" ({ends})" if ends else "")


def effects_table(made: xr.Dataset) -> Table:
    """A row for each score."""
    rows = tuple(_effects_row(made.sel(ranker=name)) for name in made.ranker.values)
    ceiling = estimate(made, "ceiling")
    note = _EFFECTS_NOTE.format(units=made.sizes["unit"], ceiling=ceiling)
    left_out = [f"{r.title.item()}: {r.missing.item()}" for r in _each(made) if r.missing.item()]
    return Table(_EFFECTS_HEAD, rows, note + (f" Left out: {'; '.join(left_out)}." if left_out else ""))


def _effects_row(one: xr.Dataset) -> tuple[str, ...]:
    significant = int((one.effect_q < SIGNIFICANT).sum())
    return (
        str(one.title.item()),
        estimate(one, "correlation"),
        p_value(one.correlation_p if one.sort == STATIC else one.p_holm),
        estimate(one, "of_reachable"),
        estimate(one, "reliability"),
        "" if one.missing.item() else str(significant),
    )


def targets_table(of: xr.Dataset) -> Table:
    """A row for each ranker of a pool."""
    return Table(_TARGETS_HEAD, tuple(_targets_row(one) for one in _each(of)), _targets_note(of))


def _targets_row(one: xr.Dataset) -> tuple[str, ...]:
    by_target = one.by_target.values
    known = np.isfinite(by_target).all()
    return (
        str(one.title.item()),
        number(one.sel(measure=MAIN).agreement),
        span(one.sel(measure=MAIN).agreement_low, one.sel(measure=MAIN).agreement_high),
        span(one.over_targets_low, one.over_targets_high),
        signed(one.gain) if np.isfinite(one.gain) else "",
        _signed_span(one, "gain"),
        _signed_span(one, "targets_gain"),
        p_value(one.targets_gain_p_holm),
        f"{by_target.min():.2f} to {by_target.max():.2f}" if known else "",
    )


def _signed_span(one: xr.Dataset, name: str) -> str:
    low, high = float(one[f"{name}_low"]), float(one[f"{name}_high"])
    return signed_range(low, high) if np.isfinite(low) else ""


def _targets_note(of: xr.Dataset) -> str:
    start = f"{pool_words(str(of.pool.item()))}, on {', '.join(map(str, of.target.values))}."
    return (
        f"{start} Intervals over models are for other models on these targets; intervals over targets for "
        "these models on other targets, as far as these are drawn from them. Neither covers both: believe "
        "the wider."
    )
