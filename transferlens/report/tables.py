"""The numbers behind the figures, as tables."""

import pandas as pd
import xarray as xr

from transferlens.report.checks import Check

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


def score_table(scores: xr.Dataset) -> pd.DataFrame:
    """One row for every estimator and number of models: predictive correlation on held-out models."""
    table = scores[["score", "score_low", "score_high"]].to_dataframe().reset_index()
    return table.dropna(subset=["score"])


def check_table(checks: list[Check]) -> pd.DataFrame:
    """One row a check."""
    return pd.DataFrame(
        [
            {
                "check": c.name,
                "statement": c.statement,
                "value": float(c.interval.value),
                "low": float(c.interval.low),
                "high": float(c.interval.high),
                "unit": c.unit,
                "holds": c.holds,
            }
            for c in checks
        ]
    )
