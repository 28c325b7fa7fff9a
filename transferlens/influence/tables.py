"""The numbers behind the figures of influences, as tables."""

import pandas as pd
import xarray as xr

_PARTS = ("se", "low", "high", "q")


def class_table(influence: xr.Dataset) -> pd.DataFrame:
    """One row for every half, target class and source class."""
    return _table(influence, "class_effect", ["half", "target_class", "source_class"])


def overall_table(influence: xr.Dataset) -> pd.DataFrame:
    """One row for every half and source class: influence on the mean output of the half."""
    return _table(influence, "overall_effect", ["half", "source_class"])


def _table(influence: xr.Dataset, name: str, axes: list[str]) -> pd.DataFrame:
    """An estimate with its uncertainty, one row a cell."""
    columns = {name: "effect", **{f"{name}_{part}": part for part in _PARTS}}
    table = influence[list(columns)].to_dataframe().reset_index().rename(columns=columns)
    return table[[*axes, *columns.values()]]


def score_table(scores: xr.Dataset) -> pd.DataFrame:
    """One row for every estimator and number of models: predictive correlation on held-out models."""
    table = scores[["score", "score_low", "score_high"]].to_dataframe().reset_index()
    return table.dropna(subset=["score"])
