"""The numbers behind the figures of influences, as tables."""

import pandas as pd
import xarray as xr

_COLUMNS = ("effect", "se", "low", "high", "q")


def class_table(influence: xr.Dataset) -> pd.DataFrame:
    """One row for every half, target class and source class."""
    table = influence[[f"class_{c}" for c in _COLUMNS]].to_dataframe().reset_index()
    return table.rename(columns={f"class_{c}": c for c in _COLUMNS})[
        ["half", "target_class", "source_class", *_COLUMNS]
    ]


def overall_table(influence: xr.Dataset) -> pd.DataFrame:
    """One row for every half and source class: influence on the mean output of the half."""
    table = influence[[f"overall_{c}" for c in _COLUMNS]].to_dataframe().reset_index()
    return table.rename(columns={f"overall_{c}": c for c in _COLUMNS})[["half", "source_class", *_COLUMNS]]


def score_table(scores: xr.Dataset) -> pd.DataFrame:
    """One row for every estimator and number of models: predictive correlation on held-out models."""
    table = scores[["score", "score_low", "score_high"]].to_dataframe().reset_index()
    return table.dropna(subset=["score"])
