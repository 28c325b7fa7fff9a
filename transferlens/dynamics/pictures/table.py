"""The numbers of the pictures as one long table."""

from typing import TYPE_CHECKING

import xarray as xr

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("quantity", "domain", "model", "layer", "step")
_OF_MODELS = ("to_start", "to_end", "corrected_to_start")
# What is known of similarity to step 0 alone: by its name in the table.
_OF_START = {
    "null_mean": "to_start_null_mean",
    "null_p95": "to_start_null_p95",
    "p": "to_start_p",
    "q": "to_start_q",
    "excess": "excess",
}
_MEAN = {
    "p": "mean_to_start_p",
    "q": "mean_to_start_q",
    "excess": "mean_excess",
    "excess_low": "mean_excess_low",
    "excess_high": "mean_excess_high",
}


def table(made: xr.Dataset) -> "pd.DataFrame":
    """A row for every quantity, domain, model (`mean` for the mean over models), layer and step.

    Intervals of a model are over images, those of the mean over models.
    """
    import pandas as pd

    parts = []
    for quantity in _OF_MODELS:
        known = _OF_START if quantity == "to_start" else {}
        parts.append(_rows(made, quantity, quantity, ("se", "low", "high"), known))
        mean = _MEAN if quantity == "to_start" else {}
        parts.append(_rows(made, f"mean_{quantity}", quantity, ("low", "high"), mean).assign(model="mean"))
    joined = pd.concat(parts, ignore_index=True)
    return joined[[*KEYS, *(name for name in joined if name not in KEYS)]]


def _rows(
    made: xr.Dataset, name: str, quantity: str, ends: tuple[str, ...], known: dict[str, str]
) -> "pd.DataFrame":
    """The rows of one variable: its value, its ends, and what else is known of it, by column."""
    columns = {"value": name, **{end: f"{name}_{end}" for end in ends}, **known}
    flat = xr.Dataset(
        {
            column: made[variable].drop_vars(("other_layer", "other_step"), errors="ignore")
            for column, variable in columns.items()
        }
    )
    return flat.to_dataframe().reset_index().assign(quantity=quantity)
