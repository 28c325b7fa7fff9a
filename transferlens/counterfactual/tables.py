"""The numbers behind the figures of counterfactual retraining, as tables."""

import pandas as pd
import xarray as xr

_INTERVAL = ("", "_low", "_high")


def counterfactual_table(counterfactual: xr.Dataset) -> pd.DataFrame:
    """One row for every order, k and half: accuracy and paired gain over the full source."""
    names = [f"{name}{part}" for name in ("accuracy_mean", "gain_mean") for part in _INTERVAL]
    return counterfactual[names].to_dataframe().reset_index()


def choice_table(counterfactual: xr.Dataset) -> pd.DataFrame:
    """One row for every order: k chosen on the select half, its gain on the report half."""
    names = ["best_k", *(f"best_gain_mean{part}" for part in _INTERVAL)]
    return counterfactual[names].to_dataframe().reset_index()


def single_table(counterfactual: xr.Dataset) -> pd.DataFrame:
    """One row for every class removed alone: predicted and realised change; empty if there are none."""
    columns = [*(f"change_mean{part}" for part in _INTERVAL), "predicted", "predicted_se"]
    if "removed_class" not in counterfactual.coords:
        return pd.DataFrame(columns=["removed_class", *columns])
    table = counterfactual[[f"single_{c}" for c in columns]].to_dataframe().reset_index()
    return table.rename(columns={f"single_{c}": c for c in columns})
