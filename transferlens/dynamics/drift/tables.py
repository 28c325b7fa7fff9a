"""Drift influence as tables of one row a number."""

import pandas as pd
import xarray as xr


def effects(told: xr.Dataset) -> pd.DataFrame:
    """What every class adds to the drift of every layer, by domain and step."""
    return _long(told, "drift_effect", "se low high p q")


def correlations(told: xr.Dataset) -> pd.DataFrame:
    """How these go with effects on what models do, beside the reliabilities of both; empty without folds."""
    columns = ["correlation", "low", "high", "p", "q", "drift_reliability", "outcome_reliability"]
    if told.folds_missing:
        return pd.DataFrame(columns=["outcome", "domain", "layer", "step", *columns])
    of_both = told[["drift_reliability", "outcome_reliability"]].broadcast_like(told.correlation)
    table = _long(told, "correlation", "low high p q")
    return table.assign(**{name: of_both[name].values.ravel() for name in of_both})


def _long(told: xr.Dataset, name: str, parts: str) -> pd.DataFrame:
    """An estimate [dims] with its parts, in columns without the name before theirs."""
    fields = [name, *(f"{name}_{part}" for part in parts.split())]
    table = told[fields].to_dataframe(dim_order=told[name].dims).reset_index()
    kept = [*told[name].dims, *fields]
    return table[kept].rename(columns={field: field.removeprefix(f"{name}_") for field in fields})
