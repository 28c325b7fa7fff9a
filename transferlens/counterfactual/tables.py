"""The numbers behind the figures of counterfactual retraining, as tables."""

import pandas as pd
import xarray as xr


def counterfactual_table(counterfactual: xr.Dataset) -> pd.DataFrame:
    """One row for every order, k and half: accuracy and paired gain over the full source."""
    names = [f"{n}_{key}" for n in ("accuracy", "gain") for key in ("mean", "low", "high")]
    return counterfactual[names].to_dataframe().reset_index()


def choice_table(counterfactual: xr.Dataset) -> pd.DataFrame:
    """One row for every order: k chosen on the select half, its gain on the report half."""
    names = ["best_k", "best_gain_mean", "best_gain_low", "best_gain_high"]
    return counterfactual[names].to_dataframe().reset_index()


def single_table(counterfactual: xr.Dataset) -> pd.DataFrame:
    """One row for every class removed alone: predicted and realised change; empty if there are none."""
    columns = ["change_mean", "change_low", "change_high", "predicted", "predicted_se"]
    if "removed_class" not in counterfactual.coords:
        return pd.DataFrame(columns=["removed_class", *columns])
    table = counterfactual[[f"single_{c}" for c in columns]].to_dataframe().reset_index()
    return table.rename(columns={f"single_{c}": c for c in columns})
