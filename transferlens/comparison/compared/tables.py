"""A comparison of recipes as tables of the page."""

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr

from transferlens.comparison.compared.artefacts import MEASURES
from transferlens.comparison.compared.words import named
from transferlens.core.blocks import Column, Table, signed, signed_range
from transferlens.pictures.figures import SIGNIFICANT

TRANSFER, FORGETTING, ROBUSTNESS, COST = (
    "Accuracy on the target, and transfer",
    "What is forgotten",
    "Calibration and robustness",
    "Cost",
)
# What is told together, so that tables stay narrow.
GROUPS = {
    TRANSFER: (
        "accuracy",
        "class_mean_accuracy",
        "worst_class_accuracy",
        "negative_transfer",
        "positive_transfer",
    ),
    FORGETTING: ("forgetting_source", "forgetting_others", "retention"),
    ROBUSTNESS: ("calibration_error", "brier", "corrupted_accuracy", "corruption_drop"),
    COST: ("seconds", "memory"),
}
_SIGNED = ("forgetting_source", "forgetting_others")
_PLACE = {name: i for i, name in enumerate(MEASURES)}


def names(made: xr.Dataset) -> list[str]:
    """Contestants in words."""
    return [named(str(b), bool(s)) for b, s in zip(made.base.values, made.from_scratch.values, strict=True)]


def values(made: xr.Dataset, measures: Sequence[str]) -> Table:
    """Every contestant's numbers, with their intervals."""
    rows = [(name, *(_value(made, i, measure) for measure in measures)) for i, name in enumerate(names(made))]
    return Table(_head(measures), tuple(rows), _without(made, "missing", "value_low", measures))


def differences(made: xr.Dataset, measures: Sequence[str]) -> Table:
    """How every other contestant differs from the plain recipe; a star marks p < .05 after Holm."""
    rows = [
        (name, *(_difference(made, i, measure) for measure in measures))
        for i, name in enumerate(names(made))
        if i > 0
    ]
    return Table(_head(measures), tuple(rows), _without(made, "difference_missing", "difference_p", measures))


def _head(measures: Sequence[str]) -> tuple[Column, ...]:
    return (Column("recipe"), *(Column(MEASURES[name][0], number=True) for name in measures))


def _value(made: xr.Dataset, recipe: int, measure: str) -> str:
    at = recipe, _PLACE[measure]
    value, low, high = (float(made[f"value{end}"].values[at]) for end in ("", "_low", "_high"))
    form = signed if measure in _SIGNED else "{:.3f}".format
    if np.isnan(value):
        return "–"
    return form(value) if np.isnan(low) else f"{form(value)} ({form(low)} to {form(high)})"


def _difference(made: xr.Dataset, recipe: int, measure: str) -> str:
    at = recipe, _PLACE[measure]
    value, low, high = (float(made[f"difference{end}"].values[at]) for end in ("", "_low", "_high"))
    p = float(made.difference_holm.values[at])
    if np.isnan(value):
        return "–"
    if np.isnan(p):
        return signed(value) if value else "0"
    return f"{signed(value)} ({signed_range(low, high)}), {p_text(p)}"


def p_text(p: float) -> str:
    """A corrected p-value, with a star below .05; '' where there is none."""
    if np.isnan(p):
        return ""
    return f"p {p:.2g}" + " *" * (p < SIGNIFICANT)


def _without(made: xr.Dataset, reasons: str, needs: str, measures: Sequence[str]) -> str:
    """Why some cells have no number or no interval, reason by reason."""
    places = [_PLACE[name] for name in measures]
    lacks = np.isnan(made[needs].values[:, places])
    given = made[reasons].values[:, places]
    told: dict[str, list[str]] = {}
    for (i, j), reason in np.ndenumerate(given):
        if reason and lacks[i, j] and not (reasons == "difference_missing" and i == 0):
            told.setdefault(reason, []).append(f"{names(made)[i]}, {MEASURES[measures[j]][0]}")
    return " ".join(f"{reason[0].upper()}{reason[1:]}: {_listed(cells)}." for reason, cells in told.items())


def _listed(cells: Sequence[str], most: int = 4) -> str:
    """Some cells by name, the others by their number."""
    more = len(cells) - most
    return "; ".join(cells[:most]) + (f"; and {more} more" if more > 0 else "")


RANKED = (
    Column("recipe"),
    Column("accuracy on the select half", number=True),
    Column("ranks first in", number=True),
    Column("first by the other models", number=True),
    Column("accuracy on the report half", number=True),
    Column("recommended minus it", number=True),
)


def ranking(made: xr.Dataset) -> Table:
    """Contestants by their accuracy on the select half, with how sure the first place is."""
    order = np.argsort(-made.chosen_accuracy.values, kind="stable")
    note = (
        "Ranked on the select half of the target's evaluation images; share of resamples of models and these "
        "images in which a recipe ranks first; reporting models whose others rank it first. The last two "
        "columns are of the report half; p after Holm over the others, a star below .05."
    )
    return Table(RANKED, tuple(_ranked(made, i) for i in order), note)


def _ranked(made: xr.Dataset, i: int) -> tuple[str, ...]:
    share = float(made.best_share.values[i])
    value, low, high = (float(made[f"ahead{end}"].values[i]) for end in ("", "_low", "_high"))
    p = p_text(float(made.ahead_holm.values[i]))
    ahead = f"{signed(value)} ({signed_range(low, high)}), {p}" if p else signed(value) if value else "0"
    return (
        names(made)[i],
        f"{made.chosen_accuracy.values[i]:.3f}",
        "–" if np.isnan(share) else f"{share:.0%}",
        "–" if np.isnan(share) else str(int(made.chosen_by_others.values[i])),
        _value(made, i, "accuracy"),
        "–" if np.isnan(value) else ahead,
    )


def forgetting(made: xr.Dataset) -> Table:
    """Changes of linear probes' accuracy by data set; nothing from scratch."""
    head = (Column("recipe"), *(Column(str(name), number=True) for name in made.probed.values))
    rows = [
        (name, *_changes(made, i)) for i, name in enumerate(names(made)) if not made.from_scratch.values[i]
    ]
    return Table(head, tuple(rows), "Change of a linear probe's accuracy, data set by data set.")


def _changes(made: xr.Dataset, i: int) -> Iterator[str]:
    for value, low, high in zip(
        *(made[f"forgetting{end}"].values[i] for end in ("", "_low", "_high")), strict=True
    ):
        yield signed(value) + ("" if np.isnan(low) else f" ({signed_range(low, high)})") if value else "0"


def by_images(comparisons: Sequence[xr.Dataset]) -> Table:
    """What is recommended with so many training images, and what choosing gained."""
    head = (
        Column("training images", number=True),
        Column("recommended"),
        Column("accuracy", number=True),
        Column("ranks first in", number=True),
        Column("what choosing gained", number=True),
    )
    return Table(head, tuple(_of_size(made) for made in comparisons))


def _of_size(made: xr.Dataset) -> tuple[str, ...]:
    i = made.recipe.values.tolist().index(made.recommended)
    share = float(made.best_share.values[i])
    return f"{made.train_images:,}", names(made)[i], _value(made, i, "accuracy"), f"{share:.0%}", gained(made)


def gained(made: xr.Dataset) -> str:
    """The gain of choosing, with its interval and p."""
    value, low, high = (float(made[f"chosen_gain{end}"]) for end in ("", "_low", "_high"))
    if np.isnan(low):
        return signed(value) if value else "0"
    return f"{signed(value)} ({signed_range(low, high)}), p {float(made.chosen_gain_p):.2g}"
