"""What the page's summary says of retraining: what the source is worth, and what removing classes does."""

from typing import Any

import xarray as xr

from transferlens.core.blocks import Card, Finding, Kind, signed, signed_range
from transferlens.core.statistics import Interval
from transferlens.counterfactual import tables

_CONTROL = "random"  # the order that removes as many classes, whichever they are


def of_source(gain: Interval) -> tuple[Finding, ...]:
    """Whether the source helps, by the gain in accuracy over training from scratch; a gain that is not
    established is told by the check of it.
    """
    if not (gain.low > 0 or gain.high < 0):
        return ()
    kind = Kind.HELPS if gain.low > 0 else Kind.HURTS
    text = f"The full source as a whole: accuracy {signed(gain.value)} against training from scratch."
    return (Finding(kind, text, _sure(gain.low, gain.high)),)


def of_removals(counterfactual: xr.Dataset) -> tuple[Finding, ...]:
    """What happens to accuracy when the source is trained again without the first classes of every order."""
    if missing := counterfactual.attrs.get("best_gain_missing", ""):
        return (Finding(Kind.UNKNOWN, f"What removing source classes gains: left out, as {missing}."),)
    rows = tables.choice_table(counterfactual).to_dict("records")
    control = "".join(_control(row) for row in rows if row["order"] == _CONTROL)
    return tuple(_removal(row, control) for row in rows if row["order"] != _CONTROL)


def _removal(row: dict[str, Any], control: str) -> Finding:
    """What removing the first classes of an order does, beside the same of random classes."""
    gain, low, high = (row[f"best_gain_mean{end}"] for end in ("", "_low", "_high"))
    what = f"the {row['best_k']} source classes that stand first in order '{row['order']}'"
    told = f"retrained without them, accuracy changes by {signed(gain)}{control}."
    if low > 0:
        return Finding(Kind.HURTS, f"Together, {what}: {told}", _sure(low, high))
    if high < 0:
        return Finding(Kind.HELPS, f"Together, {what}: {told}", _sure(low, high))
    return Finding(Kind.UNKNOWN, f"Whether {what} help or hurt together: {told}", _sure(low, high))


def _control(row: dict[str, Any]) -> str:
    """The same of random classes, in words."""
    gain, low, high = (row[f"best_gain_mean{end}"] for end in ("", "_low", "_high"))
    without = f"without {row['best_k']} random ones"
    return f" ({without}: {signed(gain)}, 95 % {signed_range(low, high)})"


def gains(counterfactual: xr.Dataset) -> tuple[Card, ...]:
    """The gain of removing classes by every order, for the table of all targets and recipes."""
    if "best_gain_missing" in counterfactual.attrs:
        return ()
    return tuple(_gain_card(row) for row in tables.choice_table(counterfactual).to_dict("records"))


def _gain_card(row: dict[str, Any]) -> Card:
    """The gain of one order."""
    name = f"gain without classes, order {row['order']}"
    reach = signed_range(row["best_gain_mean_low"], row["best_gain_mean_high"])
    return Card(name, signed(row["best_gain_mean"]), f"95 % {reach}")


def _sure(low: float, high: float) -> str:
    return f"95 % {signed_range(low, high)}, over retrained models"
