"""What the page says of near classes and what they do."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from transferlens.core.blocks import Column, Section, Table, adaptation, signed, signed_range
from transferlens.relatedness.nearness import PERMUTATIONS

_READING_HEAD = (
    Column("nearness"),
    Column("models"),
    Column("all pairs (95 %)", number=True),
    Column("p", number=True),
    Column("within target classes (95 %)", number=True),
    Column("p", number=True),
    Column("without pairs of one name (95 %)", number=True),
    Column("p", number=True),
)
_CLASS_HEAD = (
    Column("target class"),
    Column("nearest source class"),
    Column("its influence (95 %)", number=True),
    Column("q", number=True),
    Column("probe's loss", number=True),
    Column("bound", number=True),
)
_READING_NOTE = (
    "Spearman's correlation of nearness and class influence over pairs of a target and a source class; "
    "within target classes: of ranks among the source classes of each. Positive: near classes help. The "
    "interval is a jackknife over source classes, p is from {} exchanges of them. Classes of one name are "
    "the trivial part; the last columns (all pairs again) leave them out. Minus the distance, scratch: the "
    "same in randomly initialised networks, the control; what the distance adds to it is the last row. "
    "Interval and p answer different questions (other source classes; these ones, exchanged) and may "
    "disagree where either is close."
)


def section(found: xr.Dataset, names: dict[str, str], output: str) -> Section:
    """Whether near source classes help, of one target and recipe."""
    return Section(
        "Does a source class near a target class help it?",
        "near-classes",
        (reading_table(found, names["reference"]), class_table(found, output)),
        adaptation(names["target"], names["recipe"]),
        method="near-classes",
        tests=int(np.isfinite(found.agreement_p).sum()) + found.sizes["target_class"],
    )


def reading_table(found: xr.Dataset, reference: str) -> Table:
    """Rank agreement of every measure with the influences."""
    models = f"{found.attrs['models']} (reference task {reference})"
    rows = tuple(
        (str(measure), models, *_agreements(found.sel(measure=measure))) for measure in found.measure.values
    )
    rows += (("distance minus its control", models, *_excess(found)),)
    missing = found.attrs["p_missing"]
    note = _READING_NOTE.format(PERMUTATIONS) + (
        f" p is left out: {missing}."
        if missing
        else " Measures and influences are of different models, and influences are measured on other images "
        "(the report half) than distances (training images), so that they share no noise of either; the "
        "training images themselves, to which heads were fitted, are common to both."
    )
    return Table(_READING_HEAD, rows, note)


_SHOWN = (("overall", "all"), ("within target classes", "all"), ("overall", "without same names"))


def _excess(found: xr.Dataset) -> Iterator[str]:
    for scope, cells in _SHOWN:
        one = found.sel(scope=scope, cells=cells)
        known = not np.isnan(one.excess)
        yield f"{signed(one.excess)} ({signed_range(one.excess_low, one.excess_high)})" if known else ""
        yield ""


def _agreements(of: xr.Dataset) -> Iterator[str]:
    for scope, cells in _SHOWN:
        one = of.sel(scope=scope, cells=cells)
        known = not np.isnan(one.agreement)
        yield (
            f"{signed(one.agreement)} ({signed_range(one.agreement_low, one.agreement_high)})"
            if known
            else ""
        )
        yield "" if np.isnan(one.agreement_p) else f"{float(one.agreement_p):.2g}"


def class_table(found: xr.Dataset, output: str) -> Table:
    """Target class by target class: the nearest source class, what it does, and what is promised."""
    rows = []
    for target in found.target_class.values:
        one = found.sel(target_class=target)
        near = one.sel(source_class=one.nearest.item())
        influence = f"{signed(near.influence)} ({signed_range(near.influence_low, near.influence_high)})"
        rows.append(
            (
                str(target),
                str(one.nearest.item()),
                influence,
                f"{float(near.influence_q):.2g}",
                f"{float(one.class_loss):.3f}",
                f"{float(one.class_bound):.3f}",
            )
        )
    note = (
        f"The nearest class is chosen by distance in {found.attrs['models']}; its influence on the mean "
        f"{output} of the target class is that of other models, report half, and q is that of the table "
        f"of influences. Loss and bound (of the transformed head by {found.attrs['transform']}) are means "
        "over models on the class's test images."
    )
    return Table(_CLASS_HEAD, tuple(rows), note)
