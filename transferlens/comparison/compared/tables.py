"""A comparison of recipes as tables of the page."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import xarray as xr

from transferlens.comparison.compared.artefacts import MEASURES
from transferlens.comparison.compared.quantities import ITSELF, ONCE
from transferlens.comparison.compared.words import named
from transferlens.core.blocks import Column, Table, p_value
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
# Heads of columns.
SHORT = {
    "accuracy": "accuracy",
    "class_mean_accuracy": "mean of classes",
    "worst_class_accuracy": "worst class from scratch",
    "negative_transfer": "negative transfer",
    "positive_transfer": "positive transfer",
    "forgetting_source": "probe on the source",
    "forgetting_others": "probes on other data sets",
    "retention": "the source's own head",
    "calibration_error": "calibration error",
    "brier": "Brier score",
    "corrupted_accuracy": "accuracy, corrupted",
    "corruption_drop": "share that corruption takes",
    "seconds": "seconds of a step",
    "memory": "peak memory of a step",
}
_SIGNED = ("forgetting_source", "forgetting_others")
_SAID = ("", ITSELF, ONCE)  # reasons that a table or the text beside it makes plain
_PLACE = {name: i for i, name in enumerate(MEASURES)}


def signed(value: float) -> str:
    """Three decimals with a sign, so that columns of intervals stay narrow."""
    return f"{value:+.3f}"


def names(made: xr.Dataset) -> list[str]:
    """Contestants in words."""
    return [named(str(b), bool(s)) for b, s in zip(made.base.values, made.from_scratch.values, strict=True)]


def shown(made: xr.Dataset, group: str) -> list[str]:
    """Measures of a group; without the mean of classes where that is the accuracy."""
    kept = list(GROUPS[group])
    if group == TRANSFER:
        accuracy, of_classes = (made.value.values[:, _PLACE[name]] for name in kept[:2])
        if np.allclose(accuracy, of_classes, rtol=0, atol=1e-12):
            kept.remove("class_mean_accuracy")
    return kept


def tested(made: xr.Dataset, measures: Sequence[str]) -> int:
    """How many differences in these measures have a p-value."""
    places = [_PLACE[name] for name in measures]
    return int(np.isfinite(made.difference_p.values[:, places]).sum())


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
    return (Column("recipe"), *(Column(SHORT[name], number=True) for name in measures))


def _value(made: xr.Dataset, recipe: int, measure: str) -> str:
    at = recipe, _PLACE[measure]
    return _with_ends(*_ends(made, "value", at), signed if measure in _SIGNED else "{:.3f}".format)


def _difference(made: xr.Dataset, recipe: int, measure: str) -> str:
    at = recipe, _PLACE[measure]
    p = p_text(float(made.difference_holm.values[at]))
    return _with_ends(*_ends(made, "difference", at)) + (f", {p}" if p else "")


def _with_ends(value: float, low: float, high: float, form: Callable[[float], str] = signed) -> str:
    """A number, and its interval in brackets if it has one; a change of nothing at all is 0."""
    if np.isnan(value):
        return "–"
    if np.isnan(low):
        return "0" if value == 0 else form(value)
    return f"{form(value)} ({form(low)} to {form(high)})"


def p_text(p: float) -> str:
    """A corrected p-value, with a star below .05; '' where there is none."""
    if np.isnan(p):
        return ""
    return f"p {p_value(p)}" + " *" * (p < SIGNIFICANT)


def _without(made: xr.Dataset, reasons: str, needs: str, measures: Sequence[str]) -> str:
    """Why some cells have no number or no interval, reason by reason."""
    places = [_PLACE[name] for name in measures]
    lacks = np.isnan(made[needs].values[:, places])
    given = made[reasons].values[:, places]
    told: dict[str, list[str]] = {}
    for (i, j), reason in np.ndenumerate(given):
        if reason not in _SAID and lacks[i, j]:
            told.setdefault(reason, []).append(f"{names(made)[i]} ({SHORT[measures[j]]})")
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
        "columns are of the report half; p after Holm over all pairs of recipes, a star below .05."
    )
    return Table(RANKED, tuple(_ranked(made, i) for i in order), note)


def _ranked(made: xr.Dataset, i: int) -> tuple[str, ...]:
    scratch, ahead = bool(made.from_scratch.values[i]), _ends(made, "ahead", i)
    p = p_text(float(made.ahead_holm.values[i]))
    return (
        names(made)[i],
        f"{made.chosen_accuracy.values[i]:.3f}",
        "–" if scratch else percent(made.best_share.values[i]),
        "–" if scratch else str(int(made.chosen_by_others.values[i])),
        _value(made, i, "accuracy"),
        _with_ends(*ahead) + (f", {p}" if p else ""),
    )


def percent(share: float) -> str:
    """A share in whole percent."""
    return f"{100 * float(share):.0f} %"


def _ends(made: xr.Dataset, name: str, at: int | tuple[int, ...] = ()) -> tuple[float, float, float]:
    """An estimate and the ends of its interval."""
    return tuple(float(made[f"{name}{end}"].values[at]) for end in ("", "_low", "_high"))


def forgetting(made: xr.Dataset) -> Table:
    """Changes of linear probes' accuracy by data set; nothing from scratch."""
    head = (Column("recipe"), *(Column(str(name), number=True) for name in made.probed.values))
    rows = [
        (name, *_changes(made, i)) for i, name in enumerate(names(made)) if not made.from_scratch.values[i]
    ]
    return Table(head, tuple(rows), "Change of a linear probe's accuracy, data set by data set.")


def _changes(made: xr.Dataset, i: int) -> Iterator[str]:
    for j in range(made.sizes["probed"]):
        yield _with_ends(*_ends(made, "forgetting", (i, j)))


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
    share, p = percent(made.best_share.values[i]), float(made.chosen_gain_p)
    gained = _with_ends(*_ends(made, "chosen_gain")) + ("" if np.isnan(p) else f", p {p_value(p)}")
    return f"{made.train_images:,}", names(made)[i], _value(made, i, "accuracy"), share, gained
