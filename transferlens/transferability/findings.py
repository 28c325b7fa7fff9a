"""What is shown of scores, in words: for the page's sections, and for its summary."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from transferlens.core.blocks import Finding, Kind, p_value, signed, signed_range
from transferlens.pictures.figures import SIGNIFICANT
from transferlens.transferability.candidates import STATIC
from transferlens.transferability.tables import pool_words


def of_ranking(of: xr.Dataset) -> Finding:
    """Which scores beat the best static ranker in a pool, each with its gain."""
    scores = of.sel(ranker=of.sort != STATIC)
    return _finding(verdict(of), _gains(scores.isel(ranker=_beats(scores)), "gain"))


def of_effects(made: xr.Dataset) -> Finding:
    """Which scores see which source class is missing, each with its agreement."""
    if made.attrs["folds_missing"]:
        return Finding(Kind.UNKNOWN, sees(made))
    scores = made.sel(ranker=made.sort != STATIC)
    found = scores.isel(ranker=_sees(scores))
    sure = (
        f"{one.title.item()} {_estimate(one, 'correlation')}, p {p_value(one.p_holm.item())}"
        for one in _each(found)
    )
    return _finding(sees(made), "; ".join(sure))


def over_targets(of: xr.Dataset) -> Finding:
    """Which scores beat the best static ranker over models and over targets, each with its gain."""
    scores = of.sel(ranker=of.sort != STATIC)
    found = scores.isel(ranker=_beats_over_targets(scores))
    return _finding(targets_verdict(of), _gains(found, "targets_gain"))


def _finding(text: str, sure: str) -> Finding:
    """Shown where scores are named with their numbers, else not known."""
    return Finding(Kind.SHOWN if sure else Kind.UNKNOWN, text, sure)


def _gains(scores: xr.Dataset, name: str) -> str:
    """Gains of scores over the best static ranker in weighted tau, with p after Holm."""
    return "; ".join(
        f"{one.title.item()} {_estimate(one, name)}, p {p_value(one[f'{name}_p_holm'].item())}"
        for one in _each(scores)
    )


def _each(scores: xr.Dataset) -> Iterator[xr.Dataset]:
    return (scores.isel(ranker=i) for i in range(scores.sizes["ranker"]))


def _estimate(one: xr.Dataset, name: str) -> str:
    return f"{signed(one[name])} (95 % {signed_range(one[f'{name}_low'], one[f'{name}_high'])})"


def _beats(scores: xr.Dataset) -> np.ndarray:
    """Whether a score is shown to beat every static ranker, bool[ranker]."""
    return ((scores.gain_p_holm < SIGNIFICANT) & (scores.gain > 0)).values


def _sees(scores: xr.Dataset) -> np.ndarray:
    """Whether the influences on a score are shown to agree with those on the accuracy, bool[ranker]."""
    return ((scores.p_holm < SIGNIFICANT) & (scores.correlation > 0)).values


def _beats_over_targets(scores: xr.Dataset) -> np.ndarray:
    """Whether a score is shown to beat every static ranker over models, and over targets, bool[ranker]."""
    return _beats(scores) & (scores.targets_gain_p_holm < SIGNIFICANT).values


def verdict(of: xr.Dataset) -> str:
    """Which scores beat the best static ranker in a pool, in words."""
    start = f"{pool_words(str(of.pool.item()))}:"
    scores = of.sel(ranker=of.sort != STATIC)
    if not np.isfinite(scores.gain).any():
        return f"{start} no static ranker orders them that scores could be compared with."
    if not np.isfinite(scores.gain_p).any():
        reason = str(of.interval_missing.item()) or "errors are unknown"
        return f"{start} too few models to tell which scores beat the best static ranker ({reason})."
    beats = scores.title.values[_beats(scores)].tolist()
    worse = scores.title.values[scores.gain_high < 0].tolist()
    told = f"{', '.join(beats)} {'beat' if len(beats) > 1 else 'beats'} every static ranker" if beats else (
        "no score is shown to beat the best static ranker (gains of up to "
        f"{signed(np.nanmax(scores.gain_high))} in weighted tau are not excluded)"
    )  # fmt: skip
    behind = (
        f"; {', '.join(worse)} {'are' if len(worse) > 1 else 'is'} behind the best of them" if worse else ""
    )
    return f"{start} {told}{behind}."


def sees(made: xr.Dataset) -> str:
    """Which scores see it, in words."""
    if missing := made.attrs["folds_missing"]:
        return (
            f"Influences on scores and on accuracy are not compared: {missing}. Those on each score, from "
            "all models, are in the table `influences.csv`."
        )
    scores = made.sel(ranker=made.sort != STATIC)
    found = scores.title.values[_sees(scores)].tolist()
    if not found:
        return (
            "No score is shown to see which source classes help: of none are the influences shown to agree "
            "with those on accuracy more than chance does (p < .05, Holm)."
        )
    return (
        f"{', '.join(found)}: source classes that raise the accuracy raise the score, too, more than chance "
        "does (p < .05, Holm)."
    )


def targets_verdict(of: xr.Dataset) -> str:
    """Which scores beat the best static ranker over models and over targets, in words."""
    scores = of.sel(ranker=of.sort != STATIC)
    beats = scores.title.values[_beats_over_targets(scores)].tolist()
    if beats:
        return f"{', '.join(beats)}: beats every static ranker for other models and for other targets."
    return (
        "No score is shown to beat the best static ranker both for other models on these targets and for "
        f"these models on other targets ({of.sizes['target']} targets; p < .05, Holm)."
    )
