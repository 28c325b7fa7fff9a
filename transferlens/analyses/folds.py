"""Influences by fold: what one set of draws of masks chooses, the other one reports."""

from dataclasses import dataclass

import numpy as np
import xarray as xr

# The fold that chooses, and the one that reports.
CHOOSING, REPORTING = 0, 1


@dataclass(frozen=True)
class Fold:
    """Influences on single examples by the draws of one fold.

    Attributes:
        effect, se: float64[examples, sources].
        df: degrees of freedom of the standard errors.
    """

    effect: np.ndarray
    se: np.ndarray
    df: float


def missing_folds(influence: xr.Dataset) -> str:
    """Why influences have no folds; '' where they have."""
    if "effect_by_fold" in influence:
        return ""
    return str(influence.attrs.get("folds_missing", "the influences have no folds"))


def of_fold(influence: xr.Dataset, fold: int) -> Fold:
    """The influences of a fold."""
    one = influence.isel(fold=fold)
    effect, se = (one[name].values.astype(np.float64) for name in ("effect_by_fold", "effect_by_fold_se"))
    return Fold(effect, se, float(one.fold_df))
