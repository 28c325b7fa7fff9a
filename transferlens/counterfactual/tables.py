"""The numbers behind the figures of counterfactual retraining, as tables."""

import pandas as pd
import xarray as xr

_INTERVAL = ("", "_low", "_high")


def counterfactual_table(counterfactual: xr.Dataset) -> pd.DataFrame:
    """One row for every order, k and half: accuracy and paired gain over the full source."""
    names = [f"{name}{part}" for name in ("accuracy_mean", "gain_mean") for part in _INTERVAL]
    return counterfactual[names].to_dataframe().reset_index()


def choice_table(counterfactual: xr.Dataset) -> pd.DataFrame:
    """One row for every order: the k that all repeats choose on the select half, the share of splits that
    choose it, too, and the cross-fitted gain on the report half.
    """
    names = ["best_k", "best_k_share", *(f"best_gain_mean{part}" for part in _INTERVAL)]
    return counterfactual[names].to_dataframe().reset_index()


def single_table(counterfactual: xr.Dataset) -> pd.DataFrame:
    """One row for every class removed alone: predicted and realised change; empty if there are none."""
    columns = [*(f"change_mean{part}" for part in _INTERVAL)]
    if "removed_class" not in counterfactual.coords:
        return pd.DataFrame(columns=["removed_class", *columns])
    if "single_predicted" in counterfactual:
        columns += ["predicted", "predicted_se"]
    table = counterfactual[[f"single_{c}" for c in columns]].to_dataframe().reset_index()
    return table.rename(columns={f"single_{c}": c for c in columns})


def random_set_table(counterfactual: xr.Dataset) -> pd.DataFrame:
    """One row for every random set: its size, predicted and realised changes; empty if there are none."""
    names = ["random_set", "repeat", "set_size", "set_change"]
    if "set_change" not in counterfactual:
        return pd.DataFrame(columns=names)
    table = counterfactual[["set_size", "set_change"]].to_dataframe().reset_index()
    for predictor in counterfactual.predictor.values:
        values = counterfactual.set_predicted.sel(predictor=predictor)
        table[f"predicted_by_{str(predictor).replace(' ', '_')}"] = values.values.ravel()
    return table
