"""What the page says of variance components."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from transferlens.core.blocks import Block, Column, Prose, Results, Section, Table, adaptation
from transferlens.core.run import Run
from transferlens.variance import findings
from transferlens.variance.artefacts import OUTPUTS, QUANTITIES

_WORDS = {"correct": "accuracy", "p_true": "mean p_true", "margin": "mean margin"}
_OF = {"full source": "from the full source", "gain": "gain over scratch"}
_PARTS_HEAD = (
    Column("score of one model"),
    Column("source seed", number=True),
    Column("transfer seed", number=True),
    Column("images", number=True),
    Column("models x images", number=True),
)
_PARTS_NOTE = (
    "Standard deviation that each part alone gives to the score of one model on the report half, its 95 % "
    "interval, and its share of the variance. Source seed: another model of the same source. Transfer seed: "
    "the same source model, transferred again. Images: another draw of as many images, which all models "
    "share. Models x images: what a model has of its own on single images. A component estimated below zero "
    "is shown as 0, and so is the end of an interval; 'below 0': all of it is. Accuracy counts every image "
    "once."
)
_REACH_HEAD = (
    Column("mean over repeats"),
    Column("value", number=True),
    Column("± other models, these images", number=True),
    Column("± other models, other images", number=True),
    Column("repeats that halve the latter (95 %)", number=True),
    Column("± left with any number", number=True),
)


def sections(run: Run, results: Results) -> Iterator[Section]:
    """Of every target and recipe whose models are transferred again."""
    for wildcards in run.jobs_of("variance"):
        made = results.variance_components(**wildcards)
        subject = adaptation(wildcards["target"], wildcards["recipe"])
        title = "What the intervals are made of"
        found = (findings.of_source_models(made),)
        yield Section(title, "variance", blocks(made), subject, method="variance-components", findings=found)


def blocks(made: xr.Dataset) -> tuple[Block, ...]:
    """The components, and the intervals that follow from them."""
    scores = [
        (f"{_WORDS[output]}, {_OF[quantity]}", made.sel(quantity=quantity, output=output))
        for quantity in QUANTITIES
        for output in OUTPUTS
    ]
    parts = Table(_PARTS_HEAD, tuple((name, *_parts(score)) for name, score in scores), _PARTS_NOTE)
    reaches = tuple((name, *_reaches(score)) for name, score in scores)
    return parts, Table(_REACH_HEAD, reaches, _reach_note(made)), Prose(_design(made))


def _parts(score: xr.Dataset) -> Iterator[str]:
    """Of every component its standard deviation with its interval, and its share."""
    for part in score.component.values:
        cell = score.sel(component=part)
        value, low, high = (np.sqrt(max(float(cell[f"variance{end}"]), 0)) for end in ("", "_low", "_high"))
        interval = "below 0" if float(cell.variance_high) < 0 else f"{low:.2g} to {high:.2g}"
        share = float(cell.share)
        yield f"{value:.2g} ({interval})" + ("" if np.isnan(share) else f", {100 * share:.0f} %")


def _reaches(score: xr.Dataset) -> tuple[str, ...]:
    """The mean, what its interval reaches, and what more repeats would do."""
    wanted = [float(score[f"repeats_to_halve{end}"]) for end in ("", "_low", "_high")]
    value, low, high = (f"{n:.0f}" if np.isfinite(n) else "none" for n in wanted)
    told = value if low == high else f"{value} ({low} to {high})"
    numbers = (f"{float(score[name]):.3g}" for name in ("mean", "reach_on_these", "reach"))
    return (*numbers, "" if np.isnan(wanted[0]) else told, f"{float(score.left):.2g}")


def _reach_note(made: xr.Dataset) -> str:
    if missing := made.attrs["repeats_missing"]:
        return f"How many repeats would halve an interval is left out: {missing}."
    return (
        "None: with any number of repeats more than half of the interval is left, because the images are too "
        "few."
    )


def _design(made: xr.Dataset) -> str:
    return (
        f"From {made.attrs['repeats']} repeats, each model transferred {made.attrs['transfers']} times from "
        f"different seeds, on {made.attrs['images']} images of the report half. An interval of a mean over "
        "models of this page is about models (or models and images) drawn like these: its width follows from "
        "these parts."
    )
