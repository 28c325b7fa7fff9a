"""What the page says of near classes and what they do."""

from collections.abc import Iterator

import numpy as np
import xarray as xr

from transferlens.core.blocks import (
    Column,
    Section,
    Table,
    adaptation,
    p_value,
    signed_estimate,
)
from transferlens.relatedness import findings

_READING_HEAD = (
    Column("nearness"),
    Column("reference task, study"),
    Column("all pairs (95 %)", number=True),
    Column("within target classes (95 %)", number=True),
    Column("without pairs of one name (95 %)", number=True),
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
    "interval is a jackknife over source classes. Classes of one name are the trivial part; the last column "
    "(all pairs again) leaves them out. Minus the distance, scratch: the same in randomly initialised "
    "networks, the control; what the distance adds to it is the last row."
)


def section(found: xr.Dataset, names: dict[str, str], output: str) -> Section:
    """Whether near source classes help, of one target and recipe."""
    return Section(
        "Does a source class near a target class help it?",
        "near-classes",
        (reading_table(found, names), class_table(found, output)),
        adaptation(names["target"], names["recipe"]),
        method="near-classes",
        tests=found.sizes["target_class"],
        findings=(findings.of_near_classes(found),),
    )


def reading_table(found: xr.Dataset, names: dict[str, str]) -> Table:
    """Rank agreement of every measure with the influences."""
    of = f"{names['reference']}, {names['study']}"
    rows = tuple(
        (str(measure), of, *_agreements(found.sel(measure=measure))) for measure in found.measure.values
    )
    rows += (("distance minus its control", of, *_excess(found)),)
    return Table(_READING_HEAD, rows, " ".join((_READING_NOTE, *_whose(found))))


def _whose(found: xr.Dataset) -> Iterator[str]:
    """Which models measures are of, and what they share with the influences."""
    yield f"Of the {found.attrs['models']}, the control is of the scratch ones alone, all else of the others."
    if shared := found.attrs["p_missing"]:
        yield f"These {shared}, so that a part of the agreement may be their chance."
    else:
        yield (
            "Measures and influences are of different models, and influences are measured on other images "
            "(the report half) than distances (training images), so that they share no noise of either; the "
            "training images themselves, to which heads were fitted, are common to both."
        )


_SHOWN = (("overall", "all"), ("within target classes", "all"), ("overall", "without same names"))


def _excess(found: xr.Dataset) -> Iterator[str]:
    for scope, cells in _SHOWN:
        one = found.sel(scope=scope, cells=cells)
        known = not np.isnan(one.excess)
        yield signed_estimate(one.excess, one.excess_low, one.excess_high) if known else ""


def _agreements(of: xr.Dataset) -> Iterator[str]:
    for scope, cells in _SHOWN:
        one = of.sel(scope=scope, cells=cells)
        known = not np.isnan(one.agreement)
        yield (signed_estimate(one.agreement, one.agreement_low, one.agreement_high) if known else "")


def class_table(found: xr.Dataset, output: str) -> Table:
    """Target class by target class: the nearest source class, what it does, and what is promised."""
    rows = []
    for target in found.target_class.values:
        one = found.sel(target_class=target)
        near = one.sel(source_class=one.nearest.item())
        influence = signed_estimate(near.influence, near.influence_low, near.influence_high)
        rows.append(
            (
                str(target),
                str(one.nearest.item()),
                influence,
                p_value(near.influence_q),
                f"{float(one.class_loss):.3f}",
                f"{float(one.class_bound):.3f}",
            )
        )
    note = (
        f"The nearest class is chosen by '{found.measure.values[0]}' (see above); its influence on the mean "
        f"{output} of the target class is that of other models, report half, and q is that of the table "
        f"of influences. Loss and bound (of the transformed head by {found.attrs['transform']}) are means "
        "over models on the class's test images."
    )
    return Table(_CLASS_HEAD, tuple(rows), note)
